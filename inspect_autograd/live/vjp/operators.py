"""The forward functions of common operators, by the names of their nodes.

They let a node be checked when nothing but the loss is given. Each takes what the node saved, and
its inputs, by the names that torch gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

__all__ = ["OPERATORS", "OUTPUT_SHAPE", "Operator"]

OUTPUT_SHAPE = "output_shape"
"""Under this name `Operator.forward` finds the shape of its result."""

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operator:
    """How to repeat an operator.

    Attributes:
        forward: From the values by name to the result.
        inputs: Names of the inputs that have an edge, in the order of `next_functions`; one name
            that starts with `*` for a list of any length.
        free: Those that the Jacobian does not depend on, so that any value will do.
        inverse: How to get an input from what was saved.
    """

    forward: Callable[[Values], Any]
    inputs: tuple[str, ...] = ("self",)
    free: frozenset[str] = frozenset()
    inverse: Mapping[str, Callable[[Values], torch.Tensor]] = field(default_factory=dict)


def _linear(forward: Callable[[Values], Any], *inputs: str) -> Operator:
    names = inputs or ("self",)
    return Operator(forward, names, frozenset(names))


def _from_result(
    forward: Callable[[Values], Any], inverse: Callable[[torch.Tensor], torch.Tensor]
) -> Operator:
    return Operator(forward, inverse={"self": lambda v: inverse(v["result"])})


def _product(
    forward: Callable[[Values], Any], *inputs: str, free: tuple[str, ...] = ()
) -> Operator:
    # A factor that was not saved is one whose value no gradient that is wanted depends on.
    return Operator(forward, inputs, frozenset(free or inputs))


def _reduction(v: Values) -> str:
    return ("none", "mean", "sum")[v["reduction"]]


OPERATORS: dict[str, Operator] = {
    # Sums and differences.
    "AddBackward0": _linear(lambda v: v["self"] + v["alpha"] * v["other"], "self", "other"),
    "AddBackward1": _linear(lambda v: v["self"] + 0),
    "SubBackward0": _linear(lambda v: v["self"] - v["alpha"] * v["other"], "self", "other"),
    "RsubBackward1": _linear(lambda v: -v["alpha"] * v["self"]),
    "NegBackward0": _linear(lambda v: -v["self"]),
    "SumBackward0": _linear(lambda v: v["self"].sum()),
    "SumBackward1": _linear(lambda v: v["self"].sum(v["dim"], v["keepdim"])),
    "MeanBackward0": _linear(lambda v: v["self"].mean()),
    "MeanBackward1": _linear(lambda v: v["self"].mean(v["dim"], v["keepdim"])),
    "CumsumBackward0": _linear(lambda v: v["self"].cumsum(v["dim"])),
    # Shapes.
    "AliasBackward0": _linear(lambda v: v["self"].clone()),
    "CatBackward0": _linear(lambda v: torch.cat(v["tensors"], v["dim"]), "*tensors"),
    "CloneBackward0": _linear(lambda v: v["self"].clone()),
    "ExpandBackward0": _linear(lambda v: v["self"].expand(v[OUTPUT_SHAPE])),
    "GatherBackward0": _linear(lambda v: v["self"].gather(v["dim"], v["index"])),
    "IndexBackward0": _linear(lambda v: torch.ops.aten.index(v["self"], [*v["indices"]])),
    "MaskedFillBackward0": _linear(lambda v: v["self"].masked_fill(v["mask"], 0.0)),
    "PermuteBackward0": _linear(lambda v: v["self"].permute(v["dims"])),
    "ReshapeAliasBackward0": _linear(lambda v: v["self"].reshape(v[OUTPUT_SHAPE])),
    "RepeatBackward0": _linear(lambda v: v["self"].repeat(v["repeats"])),
    "SelectBackward0": _linear(lambda v: v["self"].select(v["dim"], v["index"])),
    "SliceBackward0": _linear(
        lambda v: torch.ops.aten.slice(v["self"], v["dim"], v["start"], v["end"], v["step"])
    ),
    "SqueezeBackward0": _linear(lambda v: v["self"].reshape(v[OUTPUT_SHAPE])),
    "SqueezeBackward1": _linear(lambda v: v["self"].reshape(v[OUTPUT_SHAPE])),
    "StackBackward0": _linear(lambda v: torch.stack(v["tensors"], v["dim"]), "*tensors"),
    "TBackward0": _linear(lambda v: v["self"].t()),
    "TransposeBackward0": _linear(lambda v: v["self"].transpose(v["dim0"], v["dim1"])),
    "UnsafeViewBackward0": _linear(lambda v: v["self"].reshape(v[OUTPUT_SHAPE])),
    "UnsqueezeBackward0": _linear(lambda v: v["self"].reshape(v[OUTPUT_SHAPE])),
    "ViewBackward0": _linear(lambda v: v["self"].reshape(v[OUTPUT_SHAPE])),
    "WhereBackward0": _linear(
        lambda v: torch.where(v["condition"], v["self"], v["other"]), "self", "other"
    ),
    # Products.
    "AddmmBackward0": _product(
        lambda v: v["beta"] * v["self"] + v["alpha"] * (v["mat1"] @ v["mat2"]),
        *("self", "mat1", "mat2"),
    ),
    "BaddbmmBackward0": _product(
        lambda v: v["beta"] * v["self"] + v["alpha"] * (v["batch1"] @ v["batch2"]),
        *("self", "batch1", "batch2"),
    ),
    "BmmBackward0": _product(lambda v: v["self"] @ v["mat2"], "self", "mat2"),
    "DivBackward0": _product(lambda v: v["self"] / v["other"], "self", "other", free=("self",)),
    "DotBackward0": _product(lambda v: torch.dot(v["self"], v["tensor"]), "self", "tensor"),
    "MmBackward0": _product(lambda v: v["self"] @ v["mat2"], "self", "mat2"),
    "MulBackward0": _product(lambda v: v["self"] * v["other"], "self", "other"),
    "MvBackward0": _product(lambda v: v["self"] @ v["vec"], "self", "vec"),
    # Functions of each element.
    "AbsBackward0": Operator(lambda v: v["self"].abs()),
    "ClampBackward1": Operator(lambda v: v["self"].clamp(v["min"], v["max"])),
    "ClampMinBackward0": Operator(lambda v: v["self"].clamp_min(v["min"])),
    "CosBackward0": Operator(lambda v: v["self"].cos()),
    "ExpBackward0": _from_result(lambda v: v["self"].exp(), torch.log),
    "GeluBackward0": Operator(lambda v: F.gelu(v["self"], approximate=v["approximate"])),
    "LeakyReluBackward0": Operator(lambda v: F.leaky_relu(v["self"], v["negative_slope"])),
    "LogBackward0": Operator(lambda v: v["self"].log()),
    "PowBackward0": Operator(lambda v: v["self"] ** v["exponent"]),
    "PowBackward1": Operator(lambda v: v["self"] ** v["exponent"], ("self", "exponent")),
    "ReciprocalBackward0": _from_result(lambda v: v["self"].reciprocal(), torch.reciprocal),
    # Where the result is 0 the input was 0 or less; at 0 itself there is no derivative.
    "ReluBackward0": _from_result(
        lambda v: v["self"].relu(), lambda result: torch.where(result > 0, result, -1.0)
    ),
    "RsqrtBackward0": _from_result(
        lambda v: v["self"].rsqrt(), lambda result: result.square().reciprocal()
    ),
    "SigmoidBackward0": _from_result(lambda v: v["self"].sigmoid(), torch.logit),
    "SiluBackward0": Operator(lambda v: F.silu(v["self"])),
    "SinBackward0": Operator(lambda v: v["self"].sin()),
    "SoftplusBackward0": Operator(lambda v: F.softplus(v["self"], v["beta"], v["threshold"])),
    "SqrtBackward0": _from_result(lambda v: v["self"].sqrt(), torch.square),
    "TanhBackward0": _from_result(lambda v: v["self"].tanh(), torch.atanh),
    # Functions of several elements.
    "LogSoftmaxBackward0": _from_result(
        lambda v: v["self"].log_softmax(v["dim"]), lambda result: result
    ),
    "LogsumexpBackward0": Operator(lambda v: v["self"].logsumexp(v["dim"], v["keepdim"])),
    "MseLossBackward0": Operator(
        lambda v: F.mse_loss(v["self"], v["target"], reduction=_reduction(v)), ("self", "target")
    ),
    "NllLossBackward0": _linear(
        lambda v: F.nll_loss(
            v["self"],
            v["target"],
            v["weight"],
            ignore_index=v["ignore_index"],
            reduction=_reduction(v),
        )
    ),
    "SoftmaxBackward0": _from_result(lambda v: v["self"].softmax(v["dim"]), torch.log),
}
"""Nodes whose forward function can be repeated from what they save."""
