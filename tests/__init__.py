"""The tests. A regular package, so that no `tests` package of another project can shadow it."""
