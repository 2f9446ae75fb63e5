"""Text that comes out of Graphviz, XML and a terminal as it went in.

Names come from the user's program: parameter names, module paths, keys of a dict. They may hold
quotes, angle brackets, backslashes, ampersands, newlines or control characters, and each of the
places they are written to gives some of these a meaning of its own.
"""

from __future__ import annotations

import re

__all__ = ["html", "quote", "shorten", "visible"]

# XML 1.0 allows no control character but tab, newline and carriage return
# (https://www.w3.org/TR/xml/#charsets), and a label is one line. Unicode has a visible picture of
# each of the C0 controls at U+2400, so these stay distinct from a name that spells `\n`.
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}
# What would be invisible or would reorder the text around it (C1 controls, line and paragraph
# separators, bidirectional controls, https://www.unicode.org/reports/tr9/), or cannot be written
# as UTF-8 or XML at all (surrogates, U+FFFE, U+FFFF).
_UNSHOWABLE = re.compile(
    "[\u0080-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff]"
)
_PLAIN = re.compile(r"[\w .,:;()\[\]{}/+*=#×…-]*\Z", re.ASCII)

# The backslash because Graphviz puts the name of the node in the place of `\N` even here.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "\\\\"}


def visible(text: str) -> str:
    r"""One line in which every character can be seen and can be written in any format.

    Control characters become their Unicode pictures (a newline `␊`, NUL `␀`); other characters
    that cannot be shown become `\u` escapes. All else stays as it is.
    """
    if _PLAIN.match(text):
        return text
    text = text.translate(_PICTURES)
    return _UNSHOWABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters: a longer text loses its middle, as both ends tell more."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


def html(text: str) -> str:
    """Text for a Graphviz HTML-like label (https://graphviz.org/doc/info/shapes.html#html)."""
    text = visible(text)
    for character, entity in _ENTITIES.items():
        text = text.replace(character, entity)
    # Graphviz drops spaces at the ends and draws a run of them as one; and a label needs a text.
    if text.strip(" ") != text or not text:
        inner = text.strip(" ")
        before = len(text) - len(text.lstrip(" "))
        after = len(text) - before - len(inner)
        text = "&#160;" * before + inner + "&#160;" * after or "&#160;"
    return text.replace("  ", " &#160;")


def quote(*lines: str) -> str:
    r"""A double-quoted DOT string for a tooltip of these lines.

    A backslash is written four times, since Graphviz reads escapes in a tooltip twice (`\N` is the
    name of the node); an ampersand is spelled out, since it reads HTML entities there too
    (https://graphviz.org/docs/attr-types/escString/).
    """
    escaped = (
        visible(line).replace("&", "&amp;").replace("\\", "\\" * 4).replace('"', '\\"')
        for line in lines
    )
    return '"' + "\\n".join(escaped) + '"'
