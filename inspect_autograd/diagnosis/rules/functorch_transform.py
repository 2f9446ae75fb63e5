"""A call that does not work inside a function transform such as torch.func.grad or vmap."""

from __future__ import annotations

from ..failing_call import find_failing_call, is_refusal
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene

__all__ = ["FUNCTORCH_TRANSFORM"]

SLUG = "functorch-transform"
WHY = (
    "Inside a transform PyTorch computes with wrappers of the tensors, and the transform itself "
    "takes the derivative. The graph that backward(), requires_grad_() and .grad work on belongs "
    "to the world outside of it."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if not is_refusal(scene, "RuntimeError"):
        return None
    if says(scene, r"backward\(\) called inside a functorch transform"):
        return _backward(scene)
    if says(scene, r"attempting to call tensor\.requires_grad_\(\).*functorch"):
        return _requires_grad(scene)
    if says(
        scene,
        r"vmap: it looks like you're (?:either )?(?:\(1\) )?calling \.item\(\)",
        r"vmap: it looks like you're attempting to use a tensor in some data-dependent",
    ):
        return _value_in_vmap(scene)
    return None


def _name(scene: Scene) -> str:
    return scene.transforms[-1] if scene.transforms else "a transform of torch.func"


def _evidence(scene: Scene) -> tuple[Evidence, ...]:
    frames = [frame for frame in scene.frames if frame.owner == "user"]
    found = []
    if frames:
        inner = frames[-1]
        found.append(Evidence(f"`{inner.expression or inner.code}` at {inner.source.short} is what "
                              "failed", inner.source))  # fmt: skip
    for outer in reversed(frames[:-1]):
        if any(word in outer.code for word in ("func.", "grad", "vmap", "jac", "vjp", "hessian")):
            text = f"it runs inside `{outer.expression or outer.code}` at {outer.source.short}"
            found.append(Evidence(text, outer.source))
            break
    return tuple(found)


def _backward(scene: Scene) -> Diagnosis:
    frame = scene.user_frame
    name = find_failing_call(scene).output_text(0) or "loss"
    function = "f" if frame is None or not frame.source.function.isidentifier() else (
        frame.source.function
    )  # fmt: skip
    return Diagnosis(
        SLUG,
        f"{name}.backward() was called inside {_name(scene)}, where it does not work.",
        WHY,
        _evidence(scene),
        (
            Hint(
                "Leave out backward(): return the loss, and let the transform differentiate.",
                f"def {function}(x):\n    ...\n    return {name}\n\n"
                f"gradient = torch.func.grad({function})(x)",
            ),
            Hint(
                "For a gradient inside of another, nest the transforms.",
                "torch.func.grad(lambda x: torch.func.grad(inner)(x).sum())(x)",
            ),
            Hint(
                "Or do without the transform.",
                f"loss = {function}(x)  # x.requires_grad_() before\nloss.backward()",
            ),
        ),
        source=scene.line,
    )


def _requires_grad(scene: Scene) -> Diagnosis:
    return Diagnosis(
        SLUG,
        f"requires_grad_() was called inside {_name(scene)}, where it does not work.",
        WHY,
        _evidence(scene),
        (
            Hint("Make the tensor an argument of the function; then it is differentiated.",
                 "torch.func.grad(f, argnums=(0, 1))(x, w)"),
            Hint("Or call requires_grad_() before the transform, outside of the function."),
        ),
        source=scene.line,
    )  # fmt: skip


def _value_in_vmap(scene: Scene) -> Diagnosis:
    return Diagnosis(
        SLUG,
        f"A single value of a tensor was asked for inside {_name(scene)}, where the tensor stands "
        "for a whole batch.",
        "vmap runs the function once for all samples. item(), float(), print of a value, and an "
        "`if` on a tensor would need one answer, but there is one for each sample.",
        _evidence(scene),
        (
            Hint("Choose for each sample instead of branching.", "torch.where(x > 0, a, b)"),
            Hint("Keep tensors instead of taking numbers out.", "scale = x.max()  # not .item()"),
        ),
        source=scene.line,
    )


FUNCTORCH_TRANSFORM = Rule(SLUG, "A call inside a function transform", _diagnose)
