"""The directive `command-help`: what `inspect-autograd VERB --help` prints."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from typing import Any
from unittest.mock import patch

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from inspect_autograd.cli.main import main

COLUMNS = 88


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def help_of(verb: str) -> str:
    """The help of a verb, or of the command itself for an empty string."""
    printed = io.StringIO()
    # argparse asks the environment how wide the terminal is, and whether it has colours.
    terminal = {"COLUMNS": str(COLUMNS), "NO_COLOR": "1"}
    with patch.dict(os.environ, terminal), redirect_stdout(printed):
        code = main([*verb.split(), "--help"])
    if code:
        raise ValueError(f"inspect-autograd {verb} --help ends with exit status {code}")
    return printed.getvalue()


class CommandHelp(SphinxDirective):
    """The help of the verb that is its argument."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The text as it is printed."""
        verb = self.arguments[0] if self.arguments else ""
        self.env.note_reread()
        text = help_of(verb).rstrip()
        return [nodes.literal_block(text, text, language="text")]
