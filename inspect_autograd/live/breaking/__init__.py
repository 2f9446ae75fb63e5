"""break_on: breakpoints on PyTorch's own engine, and the prompt that they open.

`watch_passes.py` hooks the passes and decides where to stop; `prompt.py` is what the user types
into. `commands.py` and `texts.py` know nothing of hooks, and serve any other stepper as well.
"""
