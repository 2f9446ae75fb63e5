"""Names come out of every format as they went in."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inspect_autograd.render.dot import to_dot
from inspect_autograd.render.escape import html, quote, shorten, visible
from inspect_autograd.render.layout import lay_out
from inspect_autograd.render.text import render_tree
from tests.unit.render.graphs import boxes, make_graph, parse_svg, tooltips

NASTY = [
    'quo"te',
    "apo'strophe",
    "<html>",
    "a < b > c",
    "&amp; &lt; &#65; &",
    "back\\slash",
    "\\N \\G \\n \\l \\",
    "two  spaces",
    " around ",
    "]; evil [label=x",
    "-->",
    "]]>",
    "<BR/>",
    "日本語",
    "שלום",
    "naïve café",
    "e\u0301 combining",
    "👩‍🚀",
    "%s {0} $x",
    "new\nline",
    "tab\there",
    "nul\0byte",
    "bell\x07 escape\x1b[31m",
    "\x85 next line",
    "\ud800 lone surrogate",
    "\uffff",
    "\u202egnp.exe",
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name", "plain name"),
        ("new\nline", "new␊line"),
        ("\0\t\x1b\x7f", "␀␉␛␡"),
        ("\x85\u2028\u202e", "\\u0085\\u2028\\u202e"),
        ("\ud800\uffff", "\\ud800\\uffff"),
        ("日本 é 👩‍🚀", "日本 é 👩‍🚀"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_visible_text_is_one_line_that_can_be_written(text: str) -> None:
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc…fg"),
        ("abcdefgh", 7, "abc…fgh"),
        ("abc", 1, "…"),
    ],
)
def test_shorten_keeps_both_ends(text: str, limit: int, shown: str) -> None:
    assert shorten(text, limit) == shown


@given(st.text(), st.integers(1, 50))
def test_shorten_never_exceeds_its_limit(text: str, limit: int) -> None:
    assert len(shorten(text, limit)) <= limit


def test_html_and_quote_spell_out_what_has_a_meaning() -> None:
    assert html('a<b>&"c"') == 'a&lt;b&gt;&amp;"c"'
    assert html(" a  b ") == "&#160;a &#160;b&#160;"
    assert html("") == "&#160;"
    assert quote('say "hi" \\N &amp;', "next") == '"say \\"hi\\" \\\\\\\\N &amp;amp;\\nnext"'


def round_trip(names: list[str]) -> None:
    """Names of nodes, parameters and scopes all at once, in one layout."""
    count = len(names)
    graph = make_graph(
        [*names, *["AccumulateGrad"] * count],
        [(i, count + i) for i in range(count)],
        leaves={count + i: name for i, name in enumerate(names)},
    )
    svg = parse_svg(lay_out(to_dot(graph), "svg", timeout=60, boxes=2 * count).data)
    shown = boxes(svg)
    hover = tooltips(svg)
    lines = render_tree(graph).splitlines()
    for i, name in enumerate(names):
        # In SVG, Graphviz writes spaces that count as U+00A0, and an empty line as one of them.
        expected = visible(name).replace("\xa0", " ")
        assert shown[f"n{i}"][0] == (expected or " ")
        assert shown[f"n{count + i}"][0] == (expected or "AccumulateGrad")
        assert any(text.replace("\xa0", " ").startswith(f"#{i} {expected}\n") for text in hover)
        assert f"{visible(name)}  f32[4]  #{i}" in "\n".join(lines)


@pytest.mark.usefixtures("no_dot")
def test_nasty_names_come_out_as_they_are() -> None:
    round_trip(NASTY)


# Each example is a layout of its own, so there are few of them, with many names each.
@settings(max_examples=15)
@example(["", " ", "  "])
@given(st.lists(st.text(max_size=20), min_size=20, max_size=40))
def test_any_name_comes_out_as_it_is(names: list[str]) -> None:
    round_trip(names)


@pytest.mark.usefixtures("no_dot")
def test_a_very_long_name_is_shortened_in_the_middle_and_whole_in_the_tooltip() -> None:
    name = "encoder." * 30 + "weight"
    graph = make_graph(["MulBackward0", "AccumulateGrad"], [(0, 1)], leaves={1: name})
    svg = parse_svg(lay_out(to_dot(graph), "svg", timeout=60, boxes=2).data)
    assert boxes(svg)["n1"][0] == "encoder.encoder.encode…ncoder.encoder.weight"
    assert any(name in text for text in tooltips(svg))
