"""The `inspect-autograd` command: one verb a file, argument handling and exit codes only."""
