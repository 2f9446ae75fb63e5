"""Records of an autograd graph, and the questions that can be asked of them.

Nothing in here imports torch: a `Graph` is plain data that can be saved, compared, folded and
drawn on a machine without torch. Edges point the way gradients flow, from the roots (the loss)
to the leaves (the parameters).
"""
