"""break_on: stop inside a backward pass, in a prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .conditions import check_conditions
from .front_end import FrontEnd, check_prompt
from .pause import Pause
from .watch_passes import Breakpoints

__all__ = ["break_on"]


def break_on(
    *conditions: str | Callable[[Pause], Any],
    nonfinite: bool = False,
    outputs: Any = None,
    params: Any = None,
    prompt: Sequence[str] | Callable[[Pause], str | None] | None = None,
) -> Breakpoints:
    """Stop PyTorch's own engine at chosen nodes, in every backward pass while the block is open.

    At a stop a prompt takes commands: `where`, `list`, `print EXPR`, `saved`, `set SLOT EXPR`,
    `up`, `down`, `next`, `continue`, `quit`; `help` explains them. The end of the input (Ctrl-D)
    runs on without a further stop. Where there is neither a terminal nor a notebook to ask, the
    first ten stops are reported on `sys.stderr`, and the program goes on.

    As long as nothing is `set`, gradients stay bit-identical. All hooks are gone when the block is
    left, in whichever way. Only one thread asks at a time; the others wait where they have to.

    A node of `outputs` that another graph shares is stopped at in passes of that graph as well. At
    a leaf (an AccumulateGrad) only those passes stop that come through this graph.

    Args:
        conditions: Where to stop. A glob is for the names of nodes, of parameters in `params`, and
            for the paths of modules as a recording made in this thread knows them; it stops before
            the node runs. A function of a `Pause`, such as `lambda pause: pause.norm > 1e3`, is
            asked before each node about what that receives, and after it about what it returned
            unless it was true before.
        nonfinite: Stop also at the first NaN or Inf of each pass: after the node that returned it,
            or before the one that received it from outside or as a sum.
        outputs: As for `capture`: stop only in passes over this graph. Left out, in every pass
            that starts in the block.
        params: As for `capture`: names for the leaves.
        prompt: The commands to carry out, one after the other, in the place of those that are
            typed; or a function that gives the next one, None if there is none.

    Returns:
        A context manager; it counts its stops, and `print` shows them.

    Raises:
        ArgumentError: There is no condition; a glob matches no node of `outputs`. Without
            `outputs`, a line on `sys.stderr` says so at the end.
        ArgumentTypeError: An argument is of the wrong kind.
        NoGraphError: No tensor in `outputs` carries a graph.
        BreakpointQuitError: From within the pass, where the user typed `quit`.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> x = torch.ones(2, requires_grad=True)
        >>> with ia.break_on("Exp*", prompt=["print g0", "continue"]):
        ...     (3 * x).exp().sum().backward()
        stopped before #1 ExpBackward0 in pass 0: 'Exp*'
          received  g0  f32[2] |1.41|
        (backward) print g0
        tensor([1., 1.])
        (backward) continue
    """
    checked = check_conditions(conditions, nonfinite)
    return Breakpoints(checked, outputs, params, FrontEnd(check_prompt(prompt)))
