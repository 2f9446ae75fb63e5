"""trace: hooks on every node of a graph, and what they note while a backward pass runs."""
