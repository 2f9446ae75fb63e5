"""A leaf that requires grad was to be written in place while autograd was recording."""

from __future__ import annotations

from ..failing_write import FailingWrite, find_failing_write, no_grad_block
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import FrameFacts, Scene, TensorFacts

__all__ = ["LEAF_MODIFIED_IN_PLACE"]

SLUG = "leaf-modified-in-place"
_LEAF = (
    r"(a view of )?a leaf variable that requires grad (is being|has been) used in an in[- ]?place"
)
_OUT = r"(\w+)\(\): functions with out=\.* arguments don'?t support automatic differentiation"
_OPTIMIZER = "optimizer = torch.optim.SGD([{}], lr=0.1)\noptimizer.step()"
_WHY = (
    "A leaf is where gradients end up: PyTorch keeps its value, and the gradient of the loss with "
    "respect to exactly that value goes into .grad. A recorded write would make it the result of "
    "a computation, so that it would no longer be a leaf. PyTorch cannot tell whether the "
    "write is part of the model or an update of it, and refuses."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    found = find_failing_write(scene)
    if says(scene, _OUT):
        return _out(scene, found)
    message = says(scene, _LEAF)
    if message is None:
        return None
    if message[2].lower() == "has been":
        return _custom(scene, found)
    return _view(found) if message[1] else _leaf(found, scene.frames)


def _leaf(found: FailingWrite, frames: tuple[FrameFacts, ...]) -> Diagnosis:
    what = _describe(found.tensor, found.target)
    write = found.write
    is_update = ".grad" in found.text
    block = Hint(
        "Update it without recording, as optimizers do."
        if is_update
        else "If the write is no part of what is differentiated (initialisation, an update), "
        "keep it out of the graph.",
        no_grad_block(found.text or f"{found.name}.add_(1)"),
    )
    hints = [block]
    if is_update:
        hints.append(Hint("Or let an optimizer do it.", _OPTIMIZER.format(found.name)))
    elif write is not None and not (found.tensor is not None and found.tensor.is_parameter):
        hints.append(Hint("If it is part of it, compute a new tensor instead.", write.out_of_place))
    if any(f.owner == "torch" and "/nn/" in f.source.file for f in frames):
        hints.append(Hint("Or use the activation without inplace=True."))
    return Diagnosis(
        SLUG,
        f"{what} is a leaf that requires grad, and {_how(found)} would write it in place while "
        "autograd records.",
        _WHY,
        _evidence(found),
        tuple(hints),
        "certain",
        found.source,
    )


def _copied(found: FailingWrite) -> str:
    """The write to a copy: of the leaf where it is written through it, else of the view."""
    name = found.name
    copy = name.rsplit(".", 1)[-1] if "." in name else f"{name}_copy"
    if found.write is None or found.write.target == name:
        copy = name
    return f"{copy} = {name}.clone()\n{found.text.replace(name, copy, 1)}"


def _view(found: FailingWrite) -> Diagnosis:
    leaf = f"{found.name}, " if found.tensor is not None and found.tensor.is_leaf else ""
    return Diagnosis(
        SLUG,
        f"{found.target} is a view of a leaf that requires grad, and {_how(found)} would write "
        f"to the leaf {leaf and 'itself '}while autograd records.".replace("  ", " "),
        "A view (a slice, a transpose, an unpacked row) has no memory of its own, so writing to it "
        "writes to the tensor that it was taken from.\n\n" + _WHY,
        _evidence(found),
        (
            Hint(
                "If the write is no part of what is differentiated (initialisation, an update), "
                "keep it out of the graph.",
                no_grad_block(found.text or f"{found.name}.zero_()"),
            ),
            Hint(
                "If it is part of it, write to a copy.",
                _copied(found),
            ),
        ),
        "certain",
        found.source,
    )


def _out(scene: Scene, found: FailingWrite) -> Diagnosis:
    function = (says(scene, _OUT) or ("", "the function"))[1]
    inputs = [t for t in scene.involved if t.requires_grad]
    who = " and ".join(f"{t.name} ({t.meta})" for t in inputs[:2]) or "an argument"
    requires = "require" if len(inputs) > 1 else "requires"
    write = found.write if found.write is not None and found.write.how == "out=" else None
    rebind = "" if write is None else write.out_of_place
    return Diagnosis(
        SLUG,
        f"{function}() was told to write its result into {found.target} with out=, but {who} "
        f"{requires} grad.",
        "With out= the result goes into memory that is there already, and PyTorch has no way to "
        "record that for the backward pass.",
        _evidence(found),
        (
            Hint("Take the result that the function returns.", rebind),
            Hint(
                "If no gradient is wanted here, turn recording off.",
                no_grad_block(found.text or "..."),
            ),
        ),
        "certain",
        found.source,
    )


def _custom(scene: Scene, found: FailingWrite) -> Diagnosis:
    function = next((f for f in scene.functions if f.name.split(".")[-1] in found.text), None)
    name = function.name if function is not None else found.text.split(".apply", 1)[0].split()[-1]
    tensor = next((t for t in scene.involved if t.is_leaf and t.requires_grad), found.tensor)
    argument = tensor.names[0] if tensor is not None and tensor.names else "x"
    evidence = [*_evidence(found)]
    if function is not None and function.forward is not None:
        evidence.append(Evidence(f"forward of {name} wrote it", function.forward))
    if tensor is not None and tensor.version:
        evidence.insert(0, Evidence(f"{argument} has been written {tensor.version} times by now"))
    return Diagnosis(
        SLUG,
        f"{name} writes its argument {_describe(tensor, argument)} in place (mark_dirty), and that "
        "is a leaf that requires grad.",
        _WHY,
        tuple(evidence),
        (
            Hint(
                "Give it a copy, which is no leaf.",
                found.text.replace(f"apply({argument}", f"apply({argument}.clone()", 1),
            ),
            Hint("Or let forward compute a new tensor instead of writing its argument."),
        ),
        "certain",
        found.source,
    )


def _describe(tensor: TensorFacts | None, name: str) -> str:
    if tensor is None:
        return name
    kind = "the parameter " if tensor.is_parameter else ""
    return f"{kind}{name} ({tensor.meta})"


def _how(found: FailingWrite) -> str:
    return f"`{found.text}`" if found.text else "the failing line"


def _evidence(found: FailingWrite) -> tuple[Evidence, ...]:
    tensor = found.tensor
    facts: list[Evidence] = []
    if tensor is not None and tensor.is_leaf and tensor.requires_grad:
        kind = "a torch.nn.Parameter" if tensor.is_parameter else "made with requires_grad=True"
        facts.append(Evidence(f"{tensor.name} is a leaf: {kind}, without a grad_fn"))
    elif tensor is not None and tensor.grad_fn is not None:
        facts.append(Evidence(f"{tensor.name} was made by {tensor.grad_fn}", tensor.source))
    return tuple(facts)


LEAF_MODIFIED_IN_PLACE = Rule(SLUG, "A leaf written in place", _diagnose)
