"""check_vjp: compare what nodes return with finite differences of their forward functions."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from ...errors import ArgumentError, ArgumentTypeError
from ...events.vjp_report import VjpReport
from ..node_selection import name_nodes, select_nodes
from ..node_types import is_node
from ..parameters import collect_names
from ..private_torch import not_compiled, unobserved
from ..roots import find_roots
from ..tensor_meta import TensorMetaCache
from ..walk import walk_graph
from .check_node import CheckSettings, NodeChecker
from .compare import Tolerance
from .record_calls import CallRecorder
from .watch_functions import record_calls

__all__ = ["check_vjp"]


@not_compiled
def check_vjp(
    outputs: Any,
    *,
    node: Any = None,
    params: Any = None,
    rtol: float | None = None,
    atol: float | None = None,
    eps: float | None = None,
    max_elements: int = 4096,
    seed: int = 0,
) -> VjpReport:
    """Check that nodes return what they receive times their Jacobian (the VJP).

    Each node is called with random gradients, and the answer is compared with finite differences
    of its forward function: repeated on copies of its inputs, in double precision where it can
    be. So a custom Function whose gradients are wrong is found, with the argument and, where it
    can be told, the mistake: swapped, of the wrong sign, off by a factor, missing, of a wrong
    shape.

    Give a function that makes the loss rather than the loss: then the inputs of every call are
    known. With the loss alone, what can be checked are common operators, and custom Functions
    whose inputs are leaves (as they are now) or were saved by any node. The report says what was
    not checked, and why.

    No hook on tensors or nodes runs, no gradient is accumulated, nothing that was saved is freed
    or unpacked, and random numbers stay as they were. The forward and the backward of custom
    Functions do run, several times.

    Finite differences cannot judge an element at which the forward function has a kink or a
    jump; such elements are counted as left out.

    Args:
        outputs: A function without arguments that makes the loss, called once; or anything that
            `capture` takes.
        node: Which nodes: an id as `capture` gives it, a `Node`, a glob such as `"MyFunction*"`,
            or a live node. None for all but leaves.
        params: As for `capture`: names, so that a glob can find parameters.
        rtol: How far an element may be off, relative to the sum of the sizes of the terms that
            make it up. None for 1e-5 in float64, 1e-3 in float32, 1e-2 in float16 and 5e-2 in
            bfloat16.
        atol: How far it may be off in any case; None for half of `rtol` times the largest such
            sum. What rounding does to finite differences is always allowed.
        eps: Step of the finite differences, relative to the size of the elements; None for
            1.2e-6 in float64 and 1e-3 in float32.
        max_elements: Nodes with a larger tensor are not checked. A node takes two forward calls
            per element.
        seed: Of the random gradients.

    Returns:
        One check per node; `print` shows them, `is_right` sums them up.

    Raises:
        NoGraphError: The loss carries no graph.
        ArgumentError: `node` matches nothing, or a number is out of its range.
        ArgumentTypeError: `outputs`, `node` or a number is of the wrong kind.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> x = torch.arange(4.0, requires_grad=True)
        >>> report = ia.check_vjp(lambda: 2 * torch.dot(x, x))
        >>> report.is_right
        True
    """
    settings = _check_settings(rtol, atol, eps, max_elements, seed)
    _check_outputs(outputs)
    with _random_numbers_kept():
        recorder = None
        if _is_function(outputs):
            recorder = CallRecorder(max_elements)
            with record_calls(recorder):
                outputs = outputs()
        with unobserved():
            names = collect_names(params)
            roots, _ = find_roots(outputs, TensorMetaCache())
            live = walk_graph([root.node for root in roots])
            node_names = name_nodes(live.nodes, names)
        ids = select_nodes(node, live, node_names)
        inner = [id for id in ids if node_names[id][0] != "AccumulateGrad"]
        if node is None or inner:
            ids = inner
        with _plain_mode():
            checker = NodeChecker(live, recorder, settings)
            return VjpReport(tuple(checker.check(id, node_names[id][0]) for id in ids))


def _is_function(outputs: Any) -> bool:
    return (
        callable(outputs)
        and not isinstance(outputs, torch.Tensor | torch.nn.Module | type)
        and not is_node(outputs)
    )


def _check_outputs(outputs: Any) -> None:
    remedy = "Write check_vjp(lambda: loss_function(model(x)))."
    if isinstance(outputs, torch.nn.Module):
        raise ArgumentTypeError(
            f"outputs is a {type(outputs).__name__} module; expected a function that makes the "
            "loss, or the loss",
            remedy=remedy,
        )
    if not _is_function(outputs):
        return
    try:
        parameters = inspect.signature(outputs).parameters.values()
    except (TypeError, ValueError):
        return  # A built-in function does not tell; it will say so itself.
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed:
        raise ArgumentTypeError(
            f"outputs is a function that needs the arguments {', '.join(needed)}; expected one "
            "without arguments",
            remedy=remedy,
        )


def _check_settings(rtol: Any, atol: Any, eps: Any, max_elements: Any, seed: Any) -> CheckSettings:
    for name, value in (("rtol", rtol), ("atol", atol), ("eps", eps)):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ArgumentTypeError(
                f"{name} is {value!r} of type {type(value).__name__}; expected a number or None",
                remedy="Leave it out for one that suits the dtype.",
            )
        is_low = value <= 0 if name == "eps" else value < 0
        if is_low or not value < float("inf"):
            least = "above 0" if name == "eps" else "of 0 or more"
            raise ArgumentError(
                f"{name} is {value}; expected a finite number {least}",
                remedy="Leave it out for one that suits the dtype.",
            )
    for name, value in (("max_elements", max_elements), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise ArgumentTypeError(
                f"{name} is {value!r} of type {type(value).__name__}; expected an int",
                remedy="Leave it out for the default.",
            )
        smallest = 1 if name == "max_elements" else 0
        if value < smallest:
            raise ArgumentError(
                f"{name} is {value}; expected {smallest} or more",
                remedy="Leave it out for the default.",
            )
    return CheckSettings(Tolerance(rtol, atol), eps, max_elements, seed)


@contextmanager
def _random_numbers_kept() -> Iterator[None]:
    cuda = torch.cuda
    devices = range(cuda.device_count()) if cuda.is_available() and cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def _plain_mode() -> Iterator[None]:
    """No inference mode and no autocast, which would change the dtype of what is repeated."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
            stack.enter_context(torch.autocast(device, enabled=False))
        yield
