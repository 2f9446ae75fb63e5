"""Lets `python -m inspect_autograd` do what the `inspect-autograd` command does."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
