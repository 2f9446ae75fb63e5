"""Reads the pages of a built site: what they link to, what they load, what can be linked to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

LOADING = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "object": "data",
    "script": "src",
    "source": "src",
    "track": "src",
    "video": "src",
}
"""Elements that make a browser fetch something, by the attribute that says what."""

LINKS_THAT_LOAD = {"dns-prefetch", "icon", "manifest", "modulepreload", "preconnect", "prefetch"}
LINKS_THAT_LOAD |= {"preload", "shortcut", "stylesheet"}
REMOTE = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)
CSS_RESOURCE = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""")


@dataclass
class Page:
    """What one page holds.

    Attributes:
        links: Targets of its `<a>`.
        loaded: What the browser fetches for it.
        anchors: What can be linked to in it.
        elements: How often each element occurs.
    """

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    elements: dict[str, int] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        page, values = self.page, {name: value or "" for name, value in attrs}
        page.elements[tag] = page.elements.get(tag, 0) + 1
        if "id" in values:
            page.anchors.add(values["id"])
        if tag == "a" and "href" in values:
            page.links.append(values["href"])
        if tag == "link" and not LINKS_THAT_LOAD.isdisjoint(values.get("rel", "").lower().split()):
            page.loaded.append(values["href"])
        if values.get(LOADING.get(tag, "")):
            page.loaded.append(values[LOADING[tag]])
        for choice in values.get("srcset", "").split(","):
            page.loaded += choice.split()[:1]
        page.loaded += CSS_RESOURCE.findall(values.get("style", ""))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.page.loaded += CSS_RESOURCE.findall(data)


@cache
def read_page(path: Path) -> Page:
    """What a page holds; it is read once."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def find_broken(site: Path, path: Path) -> list[str]:
    """The links and resources of a page, of those inside the site, that lead nowhere."""
    page = read_page(path)
    return [target for target in (*page.links, *page.loaded) if not _leads(site, path, target)]


def _leads(site: Path, path: Path, target: str) -> bool:
    if re.match(r"[a-z][a-z0-9+.-]*:", target, re.IGNORECASE):  # https:, mailto:, data:
        return True
    name, anchor = urldefrag(target)
    # What stands behind a question mark only makes the browser forget an older version.
    file = (path.parent / unquote(name.partition("?")[0])).resolve() if name else path
    if not file.is_file() or not file.is_relative_to(site):
        return False
    return not anchor or unquote(anchor) in read_page(file).anchors


def find_remote(path: Path) -> list[str]:
    """What a page or a style sheet fetches from another machine."""
    if path.suffix == ".css":
        loaded = CSS_RESOURCE.findall(path.read_text(encoding="utf-8"))
    else:
        loaded = read_page(path).loaded
    return [target for target in loaded if REMOTE.match(target)]
