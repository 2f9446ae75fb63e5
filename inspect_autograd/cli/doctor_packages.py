"""What `inspect-autograd doctor` finds out about Python and its packages."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec

from .. import __version__
from .doctor_check import Check

__all__ = ["check_packages"]

GROUP = "Python"
NEEDED = {
    "graphviz": "make_dot(), which returns a graphviz.Digraph",
    "pygraphviz": "pictures where no Graphviz is installed, as it brings one",
    "rich": "tables in a terminal",
}
OPTIONAL = {
    "torchviz": "comparing make_dot() with the original",
    "networkx": "graph.to_networkx()",
    "pandas": "tables as data frames",
}


def check_packages() -> Iterator[Check]:
    """Python itself, then the packages that are needed, then the optional ones."""
    # An installer has refused an older one, but a checkout runs without being installed.
    is_new_enough = sys.version_info >= (3, 11)
    yield Check(
        GROUP,
        "python",
        "ok" if is_new_enough else "failed",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "" if is_new_enough else "Install Python 3.11 or newer.",
    )
    yield Check(GROUP, "inspect-autograd", "ok", __version__)
    for name, purpose in NEEDED.items():
        version = _version(name)
        if version is not None:
            yield Check(GROUP, name, "ok", version)
        else:
            yield Check(
                GROUP,
                name,
                "limited",
                f"not installed, needed for {purpose}",
                f"Install it: pip install {name}",
            )
    for name, purpose in OPTIONAL.items():
        version = _version(name)
        yield Check(
            GROUP,
            name,
            "optional" if version is None else "ok",
            f"not installed, only needed for {purpose}" if version is None else version,
        )


def _version(name: str) -> str | None:
    """Of a package that can be imported, without importing it."""
    if find_spec(name) is None:
        return None
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "of unknown version"
