"""The exception tree."""

from __future__ import annotations

import pickle

import pytest

from inspect_autograd import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_ours_and_survives_pickling(name: str) -> None:
    cls = getattr(errors, name)
    error = cls("what", remedy="do this")
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, errors.InspectAutogradError)
    assert type(copy) is cls
    assert str(copy) == "what\n  What to do: do this"
    assert (copy.message, copy.remedy) == ("what", "do this")


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.ArgumentError, ValueError),
        (errors.ArgumentTypeError, TypeError),
        (errors.MissingDependencyError, ImportError),
        (errors.LayoutTimeoutError, TimeoutError),
        (errors.NoGraphError, ValueError),
    ],
)
def test_errors_are_also_what_a_caller_would_catch(
    error: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(error, builtin)


def test_a_message_without_a_remedy_stands_alone() -> None:
    assert str(errors.LayoutError("failed")) == "failed"
