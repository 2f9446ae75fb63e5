"""Text, DOT and pictures of a graph. Reads records only, never torch."""
