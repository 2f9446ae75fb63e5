r"""Mathematics as MathML, which browsers lay out themselves: no script, no font, no network.

LaTeX is converted by docutils. What it does not know is a warning, and so ends a strict build;
what GitHub knows by a second name is translated first.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

LOGGER = logging.getLogger(__name__)
SYNONYMS = {
    r"\dots": r"\ldots",
    r"\iff": r"\Longleftrightarrow",
    r"\stackrel": r"\overset",
    r"\texttt": r"\mathtt",
}
SYNONYM = re.compile(rf"(?:{'|'.join(map(re.escape, SYNONYMS))})(?![A-Za-z])")


def setup(app: Sphinx) -> dict[str, Any]:
    """Offer the renderer to `html_math_renderer`."""
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_math_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def to_mathml(latex: str, node: nodes.Element, *, as_block: bool) -> str:
    """A `<math>` element; of what cannot be converted the LaTeX, with a warning.

    Args:
        latex: Without the dollars.
        node: Where it stands, for the warning.
        as_block: Displayed, on lines of its own.
    """
    try:
        known = SYNONYM.sub(lambda found: SYNONYMS[found[0]], latex)
        mathml: str = tex2mathml(known, as_block=as_block)
    except MathError as error:
        LOGGER.warning("cannot convert %r to MathML: %s", latex, error, location=node)
        return escape(latex)
    return mathml


def _visit_math(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(to_mathml(node.astext(), node, as_block=False))
    raise nodes.SkipNode


def _visit_math_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    mathml = to_mathml(node.astext(), node, as_block=True)
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(f"{mathml}</div>\n")
    raise nodes.SkipNode
