"""A custom autograd.Function that does not keep its part of the contract."""

from __future__ import annotations

import re
from collections.abc import Callable

from .. import function_contract, function_gradients
from ..custom_functions import find_function
from ..records import Diagnosis
from ..rule import Rule, says
from ..scene import Scene

__all__ = ["CUSTOM_FUNCTION"]

_Case = Callable[[Scene, re.Match[str]], Diagnosis | None]

_CASES: tuple[tuple[str, _Case], ...] = (
    (
        (
            r"function (?P<node>\S+) returned an incorrect number of gradients "
            r"\(expected (?P<expected>\d+), got (?P<got>\d+)\)"
        ),
        function_gradients.wrong_number,
    ),
    (
        (
            r"function (?P<node>\S+) returned an invalid gradient at index (?P<index>\d+) - "
            r"(?P<what>.+)"
        ),
        function_gradients.invalid,
    ),
    (
        (
            r"function (?P<node>\S+) returned a gradient different than None at position "
            r"(?P<position>\d+)"
        ),
        function_gradients.for_no_tensor,
    ),
    (
        r"^expected (?:a )?(?:Variable|Tensor) or None \(got (?P<type>[^)]+)\)",
        function_gradients.no_tensor,
    ),
    (r"you must implement either the backward or vjp method", function_contract.no_backward),
    (r"^save_for_backward can only save variables", function_contract.saved_no_tensor),
    (r"^You tried to vmap over (?P<class>\S+), but it does not have", function_contract.no_vmap),
    (r"must override the setup_context static ?method", function_contract.no_setup_context),
    (
        r"^(?P<class>\S+)\.(?:backward|vjp)\(\) takes .*positional",
        function_contract.wrong_signature,
    ),
    (r"^(?P<class>\S+)\.(?:backward|vjp)\(\) missing \d+", function_contract.wrong_signature),
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    for pattern, case in _CASES:
        match = says(scene, pattern)
        if match is not None and _is_custom(scene, match):
            return case(scene, match)
    return None


def _is_custom(scene: Scene, match: re.Match[str]) -> bool:
    """Whether the node that is named is one of a custom Function.

    Built-in nodes end in a number, and get wrong gradients from hooks or from kernels of others.
    """
    node = match.groupdict().get("node")
    if node is None or find_function(scene, node) is not None:
        return True
    return re.fullmatch(r"\w+Backward", node) is not None


CUSTOM_FUNCTION = Rule("custom-function", "A custom Function breaks its contract", _diagnose)
