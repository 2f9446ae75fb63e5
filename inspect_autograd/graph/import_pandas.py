"""The optional package pandas."""

from __future__ import annotations

from typing import Any

from ..errors import MissingDependencyError

__all__ = ["import_pandas"]


def import_pandas() -> Any:
    """The module.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingDependencyError(
            "to_dataframe() needs pandas, which is not installed",
            remedy='Install it: pip install "inspect-autograd[pandas]"',
        ) from error
    return pandas
