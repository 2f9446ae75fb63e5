"""The engine in Python: it runs the real nodes of a graph one at a time.

`engine.py` is the loop, to be read beside torch/csrc/autograd/engine.cpp: `bookkeeping.py` holds
who waits, who is ready and what has arrived, `input_buffer.py` adds gradients up, `validate.py`
fits a gradient to where it goes, `run_node.py` calls a node. `stepper.py` is the debugger on it.
"""
