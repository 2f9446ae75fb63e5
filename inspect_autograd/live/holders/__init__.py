"""Find the live autograd graphs of the process and who keeps them.

Everything here works on one list of all objects that the garbage collector tracks, taken at the
start (`snapshot.py`). Whatever is made later is not in the list, so nothing of ours is ever taken
for a holder. No code of the user runs: values are read through the descriptors of the built-in
types (`safe_access.py`), never through the attributes of an unknown object.
"""
