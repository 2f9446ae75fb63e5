"""Code that reaches parts of the user's model, for hints that can be pasted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from keyword import iskeyword

from .program_facts import ParameterFacts

__all__ = ["ADD_WHAT_IS_MISSING", "code_of", "freeze", "member", "optimizer_of_all"]

ADD_WHAT_IS_MISSING = (
    'held = {id(p) for group in optimizer.param_groups for p in group["params"]}\n'
    'optimizer.add_param_group({"params": [p for p in model.parameters() if id(p) not in held]})'
)

# Classes of torch.optim; any other one has the name that the program gives it.
_OF_TORCH = {
    *("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "LBFGS", "Muon"),
    *("NAdam", "RAdam", "RMSprop", "Rprop", "SGD", "SparseAdam"),
}


def member(path: str) -> str:
    """What stands at a path in the model: `model.head.bias`.

    Layers that are only numbered have no name that Python would take:
    `model.get_submodule("layers.3").bias`.
    """
    parts = path.split(".")
    # What comes after the last part that is no name can be written as attributes.
    last = max((i for i, part in enumerate(parts) if not _is_name(part)), default=-1)
    start = "model" if last < 0 else f'model.get_submodule("{".".join(parts[: last + 1])}")'
    return ".".join([start, *parts[last + 1 :]])


def code_of(parameter: ParameterFacts) -> str:
    """What the user's program calls it.

    What was given in `params` has the name that it was given there, which may be no code.
    """
    if parameter.module_type:
        is_plain = _is_name(parameter.name.rpartition(".")[2])  # That of a ParameterList is not.
        return member(parameter.name) if is_plain else f'model.get_parameter("{parameter.name}")'
    return parameter.name if all(map(_is_name, parameter.name.split("."))) else "tensor"


def freeze(parameters: Sequence[ParameterFacts]) -> str:
    """A line for each that freezes it; of many the first ones."""
    lines = [f"{code_of(parameter)}.requires_grad_(False)" for parameter in parameters]
    return "\n".join(dict.fromkeys(lines[:4]))


def optimizer_of_all(optimizers: Iterable[str]) -> str:
    """An optimizer of the first of these classes for the whole model."""
    name = next(iter(optimizers))
    kind = f"torch.optim.{name}" if name in _OF_TORCH else name
    return f'optimizer = {kind}(model.parameters(), lr=optimizer.defaults["lr"])'


def _is_name(part: str) -> bool:
    return part.isidentifier() and not iskeyword(part)
