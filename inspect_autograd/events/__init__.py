"""Traces of backward passes: records, queries, files. Nothing here needs torch.

`Trace` is what `inspect_autograd.trace` and `inspect_autograd.load` give; its parts are described
in `records`.
"""
