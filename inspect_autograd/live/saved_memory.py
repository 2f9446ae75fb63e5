"""saved_memory: who keeps how much memory for backward, of live tensors."""

from __future__ import annotations

from typing import Any

from ..graph.saved_memory import SavedMemory, check_arguments, find_saved_memory, no_lines
from .capture import capture
from .private_torch import not_compiled

__all__ = ["saved_memory"]


@not_compiled
def saved_memory(
    outputs: Any, *, params: Any = None, by: str = "op", depth: int | None = None
) -> SavedMemory:
    """The memory that autograd keeps between forward and backward, and which nodes keep it.

    The graph behind the tensors is captured as by `capture`: no hook runs and no checkpoint is
    recomputed. Ask after the forward pass and before backward, which frees what was saved.

    Args:
        outputs: A tensor with a `grad_fn`, such as the loss, or what else `capture` takes.
        params: Names for parameters, buffers and inputs, as for `capture`: their memory is told
            apart from that of activations.
        by: What one row is about: `op`, the nodes of one name; `node`; `scope`, a module, as far
            as the names of the parameters tell.
        depth: With `scope`, how many components of the module paths to keep; all by default.

    Returns:
        The rows, in bytes, those that hold most first; `print` shows a table.

    Raises:
        NoGraphError: No tensor in `outputs` carries a graph; says why.
        ArgumentTypeError: An argument is of the wrong kind.
        ArgumentError: `by` or `depth` is not one of these; `line` needs a recording.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> x = torch.ones(256, requires_grad=True)
        >>> memory = ia.saved_memory(x.sin().exp(), params={"x": x})
        >>> memory.activation_bytes, memory.parameter_bytes
        (1024, 1024)
    """
    # Before the walk, which may take long.
    if check_arguments(by, depth) == "line":
        raise no_lines()
    return find_saved_memory(capture(outputs, params=params), by=by, depth=depth)
