"""The block that adds the explanation to an exception as a note."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

import inspect_autograd as ia
from tests.unit.live.post_mortem.failing import error_of


def fail() -> None:
    y = torch.ones(3, requires_grad=True) * 2
    y.backward()


def notes_of(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", []))


def test_the_exception_passes_unchanged_but_for_a_short_note() -> None:
    known: list[RuntimeError] = []

    def program() -> None:
        try:
            fail()
        except RuntimeError as error:
            known.append(error)
            raise

    with pytest.raises(RuntimeError) as caught, ia.explaining():
        program()
    assert caught.value is known[0]
    assert caught.value.args == ("grad can be implicitly created only for scalar outputs",)
    (note,) = notes_of(caught.value)
    assert "non-scalar-output" in note
    assert "y" in note
    assert len(note.splitlines()) <= 12


def test_nested_blocks_add_one_note() -> None:
    def program() -> None:
        with ia.explaining(), ia.explaining():
            fail()

    @ia.explaining()
    def again() -> None:
        try:
            program()
        except RuntimeError as error:
            raise ValueError("wrapped") from error

    error = error_of(again)
    assert notes_of(error) == []
    assert error.__cause__ is not None
    assert len(notes_of(error.__cause__)) == 1


def test_what_is_not_recognised_gets_no_note() -> None:
    def program() -> None:
        with ia.explaining():
            raise KeyError("x")

    assert notes_of(error_of(program)) == []


def test_what_is_no_error_passes() -> None:
    with pytest.raises(SystemExit) as caught, ia.explaining():
        raise SystemExit(3)
    assert notes_of(caught.value) == []


def test_as_a_decorator_of_functions_coroutines_and_generators() -> None:
    block = ia.explaining()

    @block
    def plain(scale: float) -> float:
        if scale < 0:
            fail()
        return scale * 2

    @block
    async def coroutine() -> None:
        await asyncio.sleep(0)
        fail()

    @block
    def generator() -> Iterator[int]:
        yield 1
        fail()

    assert plain(2.0) == 4.0
    assert plain.__name__ == "plain"
    assert len(notes_of(error_of(lambda: plain(-1.0)))) == 1
    assert len(notes_of(error_of(lambda: asyncio.run(coroutine())))) == 1
    assert len(notes_of(error_of(lambda: list(generator())))) == 1


def test_an_error_that_refuses_notes_still_passes() -> None:
    class StubbornError(RuntimeError):
        def add_note(self, note: str) -> None:
            raise TypeError("no notes")

    def program() -> None:
        with ia.explaining():
            raise StubbornError("grad can be implicitly created only for scalar outputs")

    assert type(error_of(program)) is StubbornError


def test_a_program_without_torch_does_not_import_it() -> None:
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\nimport inspect_autograd as ia\n"
        "try:\n    with ia.explaining():\n        raise KeyError('x')\nexcept KeyError:\n"
        "    print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "False\n"
