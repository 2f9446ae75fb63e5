"""What the tests of explain share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import inspect_autograd as ia
from inspect_autograd.diagnosis.scene import Scene


def error_of(program: Callable[[], Any]) -> Exception:
    """The exception that a program ends with."""
    try:
        program()
    except Exception as error:
        return error
    raise AssertionError("the program was meant to fail")


def scene_of(program: Callable[[], Any], **options: Any) -> Scene:
    """The scene of a program that fails; everything could be gathered."""
    scene = ia.explain(error_of(program), **options).scene
    assert scene is not None
    assert scene.notes == ()
    return scene
