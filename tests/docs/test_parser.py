"""The examples of the documentation are found and judged as they should be."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.docs import examples
from tests.docs.examples import Block, ExampleError, find_blocks, find_commands, is_match

PAGE = Path("page.md")


def blocks(text: str) -> list[Block]:
    return list(find_blocks(PAGE, dedent(text)))


def run(text: str) -> dict[str, object]:
    namespace: dict[str, object] = {}
    for block in blocks(text):
        examples.run_block(block, namespace)
    return namespace


def test_a_block_knows_its_language_text_and_line() -> None:
    found = blocks(
        """\
        # Title

        ```python
        a = 1

        b = 2
        ```
        """
    )
    assert found == [Block(PAGE, 4, "python", "a = 1\n\nb = 2\n")]


def test_blocks_in_lists_and_longer_fences_are_found() -> None:
    found = blocks(
        """\
        - item

            ~~~~ python
            if True:
                x = 1
            ~~~~
        ````
        ```python
        ````
        """
    )
    assert [(block.line, block.language, block.text) for block in found] == [
        (4, "python", "if True:\n    x = 1\n"),
        (8, "", "```python\n"),
    ]


def test_a_block_is_left_out_only_with_a_reason() -> None:
    text = """\
        <!-- not executed: needs a GPU -->
        ```python
        1 / 0
        ```
        """
    assert [block.not_executed for block in blocks(text)] == ["needs a GPU"]
    run(text)


@pytest.mark.parametrize("comment", ["<!-- not executed -->", "<!-- not executed: -->"])
def test_a_reason_must_be_given(comment: str) -> None:
    with pytest.raises(ExampleError, match=r"^page\.md:1: say why"):
        blocks(f"{comment}\n```python\n```\n")


@pytest.mark.parametrize("below", ["", "\n```python\n```\n", "text\n"])
def test_a_comment_away_from_a_block_is_an_error(below: str) -> None:
    with pytest.raises(ExampleError, match=r"^page\.md:1: no code block follows"):
        blocks(f"<!-- not executed: why -->\n{below}")


def test_fences_inside_a_sentence_open_nothing() -> None:
    assert blocks("```python blocks``` are run\n") == []


def test_a_block_must_be_closed() -> None:
    with pytest.raises(ExampleError, match=r"^page\.md:2: this code block is never closed"):
        blocks("text\n```python\na = 1\n")


def test_blocks_share_their_variables_with_doctests() -> None:
    text = """\
        ```python
        a = 1
        ```
        ```python
        >>> a + 1
        2
        >>> b = a + 2
        ```
        ```python
        c = b + 1
        ```
        """
    assert run(text)["c"] == 4


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("a = 1\n1 / 0", r"^page\.md:3: ZeroDivisionError: division by zero$"),
        ("a = 1\na b", r"^page\.md:3: invalid syntax$"),
        ("import json\njson.loads('')", r"^page\.md:3: JSONDecodeError"),
        (">>> 1 + 1\n2\n>>> 1 + 2\n4", r"(?s)^page\.md:4: .*Expected:\n    4\nGot:\n    3"),
        ("import warnings\nwarnings.warn('old')", r"^page\.md:3: UserWarning: old$"),
    ],
)
def test_a_failure_names_its_line(code: str, message: str) -> None:
    with pytest.raises(ExampleError, match=message):
        run(f"```python\n{code}\n```\n")


def test_other_languages_are_only_shown() -> None:
    assert run("```sh\nfalse\n```\n```\n1 / 0\n```\n") == {}


def test_commands_and_their_output_are_told_apart() -> None:
    text = "$ inspect-autograd a 'b c'\nout\n\nput\n$ inspect-autograd d\n"
    assert list(find_commands(Block(PAGE, 5, "console", text))) == [
        (0, "inspect-autograd a 'b c'", "out\n\nput\n"),
        (4, "inspect-autograd d", ""),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("output\n$ inspect-autograd", r"^page\.md:2: a console block starts with"),
        ("$ inspect-autograd x\nright\n$ rm x", r"^page\.md:4: only inspect-autograd is run"),
        ("$ inspect-autograd x\nwrong", r"(?s)^page\.md:2: \$ .*Expected:\nwrong\nPrinted:\nright"),
    ],
)
def test_a_console_block_that_does_not_hold(
    text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "run_command", lambda arguments: "right\n")
    with pytest.raises(ExampleError, match=message):
        run(f"```console\n{text}\n```\n")


@pytest.mark.parametrize(
    ("expected", "printed", "matches"),
    [
        ("a\n", "a  \n\n", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("took ... ms\n", "took 12 ms\n", True),
        ("a\n...\nd\n", "a\nb\nc\n", False),
        ("a\n", "a\nb\n", False),
        ("", "a\n", False),
    ],
)
def test_dots_stand_for_anything(expected: str, printed: str, matches: bool) -> None:
    assert is_match(expected, printed) is matches
