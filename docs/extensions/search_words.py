"""A search that finds Chinese, too, without a dictionary.

Chinese is written without spaces, so a run of its signs is cut into overlapping pairs: a word of
two signs is one of them, and a longer one is found where all its pairs are. Sphinx's own way needs
a dictionary of 20 MB, and then misses every word that is not in it.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

# The ideographs, in the ranges that everyday Chinese needs; the script has them too.
CHINESE = "\u3400-\u4dbf\u4e00-\u9fff"
PART = re.compile(rf"[{CHINESE}]+|[^\W{CHINESE}]+")


def setup(app: Sphinx) -> dict[str, Any]:
    """Put this search in the place of that for English."""
    app.add_search_language(SearchWords)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def split_words(text: str) -> list[str]:
    """The words of a text, and of Chinese in it all pairs of neighbours."""
    words = []
    for part in PART.findall(text):
        if re.match(f"[{CHINESE}]", part):
            words += [part[at : at + 2] for at in range(max(len(part) - 1, 1))]
        else:
            words.append(part)
    return words


class SearchWords(SearchEnglish):
    """English, and pairs of Chinese signs."""

    js_splitter_code = rf"""
function splitQuery(query) {{
  const chinese = /^[{CHINESE}]/;
  const parts = query.match(/[{CHINESE}]+|(?:(?![{CHINESE}])[\p{{L}}\p{{N}}_])+/gu);
  return (parts || []).flatMap((part) => {{
    if (!chinese.test(part) || part.length < 3) return [part];
    return Array.from({{ length: part.length - 1 }}, (_, at) => part.slice(at, at + 2));
  }});
}}
"""

    def split(self, input: str) -> list[str]:
        """Words that the index holds; `splitQuery` in the script does the same."""
        return split_words(input)
