"""What `inspect-autograd doctor` finds out about PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .doctor_check import Check

__all__ = ["PRIVATE_NAMES", "check_torch"]

GROUP = "PyTorch"


def check_torch() -> Iterator[Check]:
    """Whether it can be imported, computes a gradient, and has what `capture` relies on."""
    try:
        import torch
    except Exception as error:
        # A broken installation raises OSError for a library that is missing, and others.
        yield Check(
            GROUP,
            "torch",
            "failed",
            f"cannot be imported: {type(error).__name__}: {error}",
            "Install it: pip install torch. Saved graphs can be shown and drawn without it.",
        )
        return
    yield Check(GROUP, "torch", "ok", torch.__version__)
    yield _check_capture()
    yield _check_private_names(torch)


def _check_capture() -> Check:
    try:
        from ..live.capture import capture
        from .examples import quadratic

        x, y = quadratic()
        graph = capture(y, params={"x": x})
        y.backward()
        names = [node.name for node in graph.nodes]
        gradient = x.grad.tolist() if x.grad is not None else None
        if names == ["MulBackward0", "DotBackward0", "AccumulateGrad"] and gradient == [
            0,
            4,
            8,
            12,
        ]:
            return Check(GROUP, "capture", "ok", "a small graph and its gradient are as expected")
        found = f"f(x) = 2 · dot(x, x) gave the nodes {names} and the gradient {gradient}"
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    return Check(GROUP, "capture", "failed", found, "Install another version of torch.")


PRIVATE_NAMES = {
    "node._sequence_nr": "the order in which nodes were made is not known",
    "node._input_metadata": "capture() fails",
    "node._saved_self": "saved tensors and attributes are not shown",
    "node._raw_saved_self": "saved tensors are shown as if they were attributes",
    "node._raw_saved_self.unpack_hook": "what a pack hook returned may be taken for the tensor",
    "torch.autograd.function.BackwardCFunction._raw_saved_tensors": (
        "saved tensors of custom Functions are not shown"
    ),
    "torch.Tensor._version": "a saved tensor that was modified in place cannot be told",
    "torch.Tensor._backward_hooks": "explain() and watch() do not see the hooks of tensors",
    "torch.Tensor._post_accumulate_grad_hooks": "explain() does not see the hooks of leaves",
    "torch.UntypedStorage._cdata": "tensors that share memory cannot be told",
    "torch.Tensor._indices": "the memory of sparse tensors is not counted",
    "torch.Tensor._values": "the memory of sparse tensors is not counted",
    "torch._C.DisableTorchFunction": "capture() fails",
    "torch.utils._python_dispatch._disable_current_modes": "capture() fails",
    "torch._C._functorch": "why a tensor inside vmap has no graph is not said",
    "torch._C._current_graph_task_id": "trace() fails",
    "torch._C._current_autograd_node": "why a node makes NaN or Inf is not said",
    "torch._C._len_torch_dispatch_stack": "trace() fails",
    "torch._C._len_torch_function_stack": "record() fails",
    "torch._C._is_torch_function_mode_enabled": "trace() fails",
    "torch.autograd._engine_run_backward": "trace() fails",
    "torch.autograd._get_sequence_nr": "second-order nodes are not told apart",
    "torch.utils._python_dispatch.TorchDispatchMode": "capture() fails",
    "torch.autograd.function._SingleLevelFunction": "check_vjp() fails where a function is given",
    "torch.autograd.Function._backward_cls._forward_cls": "check_vjp() fails for custom Functions",
    "torch.ops.aten.mul.Tensor._schema": "check_vjp() fails where a function is given",
}
"""Names without a promise that `live.private_torch` relies on, and what happens without them."""


def _check_private_names(torch: Any) -> Check:
    x = torch.ones(2, requires_grad=True)
    holders = {"torch": torch, "node": torch.dot(x, x).grad_fn}
    missing = {
        name: without for name, without in PRIVATE_NAMES.items() if not _is_there(name, holders)
    }
    count = f"{len(PRIVATE_NAMES) - len(missing)} of {len(PRIVATE_NAMES)}"
    return Check(
        GROUP,
        "private names",
        "limited" if missing else "ok",
        "; ".join(
            [
                f"{count} that we rely on are there",
                *(f"without {name}, {without}" for name, without in missing.items()),
            ]
        ),
        "The versions of torch from 2.4 on have been seen to have them." if missing else "",
    )


def _is_there(name: str, holders: dict[str, Any]) -> bool:
    root, *parts = name.split(".")
    value = holders[root]
    for part in parts:
        # Not hasattr: a property may raise RuntimeError where it has nothing to give.
        if part not in dir(value):
            return False
        if part != parts[-1]:
            value = getattr(value, part)
    return True
