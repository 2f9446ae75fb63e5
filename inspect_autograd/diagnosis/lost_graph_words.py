"""Why a tensor has no graph, in words, and what to do about it."""

from __future__ import annotations

from .lost_graph import Cause
from .numbers_in_words import listed
from .records import Hint
from .scene import TensorFacts

__all__ = ["hints_for", "tell"]


def tell(cause: Cause, output: TensorFacts) -> str:
    """One clause: why the tensor has no graph."""
    at = "" if cause.source is None else f" at {cause.source.short}"
    did = f"`{cause.text}`" if cause.text else ""
    dtype = output.meta.dtype
    words = {
        "detach": f"{did or 'detach()'}{at} cut it off",
        "data": f"{did or '.data'}{at} takes the values only",
        "no_grad": f"it was computed under {cause.text or 'torch.no_grad()'}{at}, where nothing is "
        "recorded",
        "inference_mode": f"it was made under torch.inference_mode(){at}, where nothing is "
        "recorded",
        "integer": f"{did}{at} gives whole numbers or truth values, which have no gradient"
        if did
        else f"its dtype {dtype} cannot have a gradient",
        "Python value": f"{did or 'item()'}{at} makes a plain number, which knows nothing of its "
        "past",
        "copy": f"{did or 'torch.tensor(...)'}{at} copies the values into a new tensor without a "
        "past",
        "checkpoint": f"a reentrant checkpoint{at} had no input that requires grad, so it recorded "
        "nothing",
        "custom Function": f"{did or 'a custom Function'}{at} gave a result that is marked as not "
        "differentiable, or computed without a graph",
        "call": f"{did}{at} took a tensor with a graph and returned one without",
        "model": f"{listed(cause.names)} has parameters that require grad, but what it returned "
        "was cut off from them, or computed while recording was off",
        "frozen": f"no parameter of {listed(cause.names)} requires grad",
        "plain data": "nothing that it was computed from requires grad"
        if cause.names
        else "it is new data, which was not computed from anything",
        "spoiled": "it is a view whose base was changed in place in a forbidden way",
        "unknown": "nothing that requires grad led to it, or the graph was cut on the way",
    }
    return words[cause.kind]


def hints_for(cause: Cause, name: str) -> tuple[Hint, ...]:
    """What to do, the likeliest first."""
    of = cause.operand or "x"
    kept = cause.text if cause.text and len(cause.text) <= 60 else ""
    before = kept.removesuffix(".detach()").removesuffix(".data").removesuffix(".item()")
    if cause.kind in ("detach", "data"):
        return (
            Hint("Use the tensor itself.", f"{before or of}  # instead of {kept or '.detach()'}"),
        )
    if cause.kind in ("Python value", "copy"):
        stack = Hint(
            "To put several losses together, keep the tensors, not their numbers, and stack them.",
            "losses.append(loss)  # not loss.item()\ntotal = torch.stack(losses).mean()",
        )
        if not before or before == kept:
            return (stack,)
        return (
            Hint(
                "Go on with the tensor itself; take plain numbers only for printing.",
                f"{_variable(name)} = {before}  # not {kept}",
            ),
            stack,
        )
    if cause.kind in ("no_grad", "inference_mode"):
        block = "torch.no_grad()" if cause.kind == "no_grad" else "torch.inference_mode()"
        return (
            Hint(
                f"Move the forward pass out of {block}; it is for evaluation only.",
                f"{_variable(name)} = ...  # computed outside of the block\n"
                f"{_variable(name)}.backward()",
            ),
            Hint(
                "Or switch recording on again just there.",
                "with torch.enable_grad():\n    ...",
            ),
        )[: 2 if cause.kind == "no_grad" else 1]
    return _more_hints(cause, name)


def _more_hints(cause: Cause, name: str) -> tuple[Hint, ...]:
    if cause.kind == "integer":
        return _hints_for_integers(cause)
    if cause.kind == "checkpoint":
        return (
            Hint(
                "Use the checkpoint that is not reentrant.",
                "torch.utils.checkpoint.checkpoint(f, x, use_reentrant=False)",
            ),
            Hint("Or let its input require grad.", "x.requires_grad_()"),
        )
    if cause.kind == "custom Function":
        return (
            Hint(
                "Take mark_non_differentiable out of its forward, if the result has a derivative."
            ),
            Hint("If it has none, use another loss, or a surrogate gradient in its backward."),
        )
    if cause.kind == "frozen":
        first = cause.names[0]
        return (
            Hint(
                "Let what is to be trained require grad, before the forward pass.",
                f"{first}.requires_grad_(True)",
            ),
        )
    if cause.kind == "plain data" and not cause.names:
        return (Hint("Start from what was computed from your parameters.", "loss.backward()"),)
    if cause.kind == "plain data":
        first = cause.names[0]
        return (
            Hint(
                "Mark what you want the gradient of, before anything is computed from it.",
                f"{first}.requires_grad_()",
            ),
            _not_the_output(name),
        )
    if cause.kind == "model":
        return (
            Hint(
                f"See whether recording is on where {cause.names[0]} is called.",
                "assert torch.is_grad_enabled()",
            ),
            Hint(f"Look into the forward() of {cause.names[0]} for detach(), .data or no_grad()."),
            _not_the_output(name),
        )
    if cause.kind == "call":
        return (Hint(f"Look into what `{cause.text}` calls for detach(), no_grad() or item()."),)
    return (
        Hint("Look for detach(), .data, item(), torch.tensor() and no_grad() on the way to it."),
    )


def _variable(name: str) -> str:
    return name if name.isidentifier() else "loss"


def _hints_for_integers(cause: Cause) -> tuple[Hint, ...]:
    if not cause.operand:
        return (
            Hint(
                "Take the loss of the scores, not of what was chosen by them.",
                "loss = torch.nn.functional.cross_entropy(scores, target)",
            ),
        )
    of = cause.operand
    smooth = Hint(
        "For a smooth stand-in of a comparison, use a sigmoid.",
        f"torch.sigmoid(10 * {of})  # instead of {of} > 0",
    )
    scores = Hint(
        "Take the loss of the scores, not of what was chosen by them.",
        f"loss = torch.nn.functional.cross_entropy({of}, target)",
    )
    cast = Hint(
        "Leave out the cast to whole numbers; floating-point numbers keep their graph.",
        f"{of}  # instead of {cause.text}" if cause.text else "",
    )
    if any(sign in cause.text for sign in ("<", ">", "==", "!=")):
        return smooth, scores
    if any(word in cause.text for word in ("long(", "int(", "bool(", "byte(", ".to(", ".type(")):
        return cast, scores
    return scores, smooth


def _not_the_output(name: str) -> Hint:
    return Hint(
        f"{_variable(name)}.requires_grad_() would only silence the error: nothing behind it would "
        "get a gradient."
    )
