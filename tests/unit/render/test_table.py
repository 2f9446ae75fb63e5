"""Aligned columns, also with wide, combining and control characters."""

from inspect_autograd.render.table import format_table


def test_columns_are_aligned_and_end_without_spaces() -> None:
    assert format_table([("a", "bcd", "e"), ("xyz", "", "f")], ("one", "two", "")) == (
        "one  two\na    bcd  e\nxyz       f"
    )


def test_a_column_without_text_is_left_out_with_its_header() -> None:
    assert format_table([("a", "", "b"), ("c", "", "d")], ("x", "y", "z")) == "x  z\na  b\nc  d"


def test_no_rows() -> None:
    assert format_table([]) == ""
    assert format_table([], ("a", "b")) == ""


def test_wide_characters_keep_the_columns() -> None:
    assert format_table([("权重", "a"), ("w", "b")]) == "权重  a\nw     b"
    assert format_table([("e\u0301", "a"), ("xy", "b")]) == "e\u0301   a\nxy  b"


def test_what_looks_like_markup_is_text() -> None:
    assert format_table([("[bold]a[/bold]", ":smile:")]) == "[bold]a[/bold]  :smile:"


def test_a_name_cannot_break_the_table() -> None:
    assert format_table([("a\nb", "c\x1b[31m")]) == "a␊b  c␛[31m"


def test_columns_aligned_to_the_right() -> None:
    rows = [("a", "1", "x"), ("b", "234", "y")]
    assert format_table(rows, ("", "n", ""), right=(1,)) == "     n\na    1  x\nb  234  y"
