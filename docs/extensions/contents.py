"""Which pages stand where: the sidebar, and the lists on the landing page.

On the landing page stand comments such as `<!-- contents: Tour -->`. GitHub does not show them; in
the site the pages of that section are listed there, or only in the sidebar where the comment says
`<!-- contents: Guides, in the sidebar -->`. Pages are given by patterns, so a new page in a folder
needs no entry.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

from sphinx.application import Sphinx

CONTENTS: dict[str, list[str]] = {
    "Tour": ["tour/*"],
    "中文导览": ["tour-zh/*"],
    "How-to": ["how-to/*"],
    "Guides": [
        "capturing",
        "asking",
        "tracing",
        "recording",
        "cuts-and-writes",
        "memory",
        "leaks",
        "explaining",
        "diagnosing",
        "experiments",
        "stepping",
        "breakpoints",
        "pictures",
        "command-line",
        "*",
    ],
    "Rules": ["rules/*"],
    "Reference": ["reference/*"],
    "For contributors": ["architecture", "stability", "changelog"],
}
"""Patterns of pages by section; sections appear in this order, empty ones not at all.

`*` stands for all pages of its folder that no other pattern names. A folder that has a page `index`
is shown as that page, below which the others stand.
"""

BELOW = {
    "reference": [
        f"reference/{page}"
        for page in (
            "graphs",
            "traces",
            "stepping",
            "recordings",
            "memory",
            "diagnosing",
            "errors",
            "*",
        )
    ],
}
"""Patterns of the pages below the index of a folder, where an order by name is not good enough."""

MARKER = re.compile(r"^<!-- contents: (?P<section>[^,]+?)(?P<hidden>, in the sidebar)? -->$", re.M)
# Pages of the site that stand for files beside docs/, which is where links lead on GitHub.
OUTSIDE = {"CHANGELOG.md": "/changelog.md", "README.md": "/index.md"}
LINK_OUTSIDE = re.compile(r"(?<=\]\()(?:\.\./)+(CHANGELOG\.md|README\.md)(?=[#)])")
LANGUAGES = {"tour-zh/": "zh-Hans"}


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the lists while pages are read."""
    app.connect("source-read", _add_contents)
    app.connect("html-page-context", _set_language)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def find_pages(patterns: list[str], pages: set[str]) -> list[str]:
    """The pages that match, pattern by pattern, each sorted by name."""
    found: dict[str, None] = {}
    for pattern in patterns:
        index = pattern.replace("*", "index")
        if index in pages and "/" in pattern:
            found[index] = None
        else:
            found.update(dict.fromkeys(sorted(_match(pattern, pages))))
    return list(found)


def _match(pattern: str, pages: set[str]) -> set[str]:
    if "*" not in pattern:
        return pages & {pattern}
    named = {"index", *(name for patterns in CONTENTS.values() for name in patterns)}
    same_folder = {page for page in pages - named if page.count("/") == pattern.count("/")}
    return {page for page in same_folder if fnmatchcase(page, pattern)}


def toctree(pages: list[str], *options: str) -> str:
    """The fenced directive that puts pages into the contents."""
    lines = [*(f":{option}" for option in options), "", *(f"/{page}" for page in pages)]
    return "\n".join(["```{toctree}", *lines, "```"])


def _add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    pages = app.env.found_docs
    source[0] = LINK_OUTSIDE.sub(lambda found: OUTSIDE[found[1]], source[0])
    if page == "index":
        source[0] = MARKER.sub(lambda found: _section(found, pages), source[0])
    elif page.endswith("/index"):
        folder = page.removesuffix("/index")
        others = find_pages(BELOW.get(folder, [f"{folder}/*"]), pages - {page})
        source[0] += "\n\n" + toctree(others, "hidden:")


def _section(found: re.Match[str], pages: set[str]) -> str:
    section = found["section"]
    shown = find_pages(CONTENTS[section], pages)
    options = [f"caption: {section}", "maxdepth: 1", *(["hidden:"] if found["hidden"] else [])]
    return toctree(shown, *options) if shown else ""


def _set_language(
    _app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Say which language a page is in, for the choice of glyphs and for screen readers."""
    for folder, language in LANGUAGES.items():
        if page.startswith(folder):
            context["language"] = language
