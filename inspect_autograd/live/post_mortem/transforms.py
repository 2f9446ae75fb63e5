"""Functions of PyTorch that call back the user's own, as a traceback leads through them."""

from __future__ import annotations

from collections.abc import Sequence

from ...diagnosis.function_body import FunctionBody
from ..file_owners import USER, owner_of
from ..private_transforms import is_gradient_transform, transformed_function
from .live_frame import LiveFrame
from .user_functions import describe_function, unwrap
from .variables import read_variables

__all__ = ["find_transformed", "find_transforms"]

_MODULES = {
    "torch._functorch.apis": "torch.func",
    "torch._functorch.eager_transforms": "torch.func",
    "torch._functorch.functional_call": "torch.func",
    "torch.autograd.functional": "torch.autograd.functional",
    "torch.utils.checkpoint": "torch.utils.checkpoint",
}
"""Where such functions are defined, and where users find them."""


def find_transforms(frames: Sequence[LiveFrame]) -> tuple[str, ...]:
    """Their names as users write them, outermost first.

    What one of them calls in turn (`grad` calls `grad_and_value`) does not count.
    """
    found = []
    last = ""
    for live in frames:
        module = live.frame.f_globals.get("__name__")
        home = _MODULES.get(module) if type(module) is str else None
        if home is not None and last != home:
            name = live.frame.f_code.co_qualname.partition(".")[0]
            # A checkpoint comes back through a hook of its own, to compute something again.
            found.append(f"{home}.{'checkpoint' if name.startswith('_') else name}")
        if home is not None or not (type(module) is str and module.startswith("torch.")):
            last = home or ""
    return tuple(found)


def find_transformed(frames: Sequence[LiveFrame]) -> FunctionBody | None:
    """The function of the user that the innermost `torch.func.grad` was given."""
    for live in reversed(frames):
        module, code = live.frame.f_globals.get("__name__"), live.frame.f_code
        if is_gradient_transform(module, code.co_name):
            function, _ = unwrap(transformed_function(read_variables(live.frame)))
            is_users = function is not None and owner_of(function.__code__.co_filename) == USER
            return describe_function(function) if function is not None and is_users else None
    return None
