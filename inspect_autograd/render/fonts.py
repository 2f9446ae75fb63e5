"""Letters for machines that have no font, as slim containers have none.

Graphviz finds its fonts through fontconfig, and draws empty boxes instead of letters where that
finds nothing. Then a font that comes as a Python package is used.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import escape

__all__ = ["has_font_folder", "packaged_font_environment"]

PACKAGE = "font_source_sans_pro"

_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")


def has_font_folder() -> bool:
    """Whether the machine seems to have fonts; only a glance, which costs nothing.

    macOS and Windows always have some.
    """
    if sys.platform != "linux":
        return True
    folders = [Path(os.path.expanduser(folder)) for folder in _FOLDERS]  # noqa: PTH111
    return any(folder.is_dir() and any(folder.iterdir()) for folder in folders)


@lru_cache(maxsize=1)
def packaged_font_environment() -> dict[str, str]:
    """Environment variables that make fontconfig use the packaged font; empty without it."""
    folder = _font_folder()
    if folder is None:
        return {}
    own = _own_folder()
    file = own / "fonts.conf"
    file.write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n<fontconfig>\n'
        f"  <dir>{escape(str(folder))}</dir>\n"
        f"  <cachedir>{escape(str(own / 'cache'))}</cachedir>\n"
        "</fontconfig>\n",
        encoding="utf-8",
    )
    return {"FONTCONFIG_FILE": str(file)}


def _own_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="inspect_autograd-fonts-")
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # A forked child must not take it from its parent.
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return Path(folder)


def _font_folder() -> Path | None:
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "files"
    return folder if folder.is_dir() else None
