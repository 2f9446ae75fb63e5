"""Turn a failure, or the state of a program, into what happened, why, where, and how to fix it.

Reads plain records only, never torch: `live/post_mortem` gathers the facts into a `Scene`, the
rules in `rules/` read it, and `explain_scene` makes a `Report` of what they say.
"""
