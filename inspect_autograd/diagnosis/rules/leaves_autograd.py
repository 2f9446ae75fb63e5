"""A tensor with a graph was taken out of PyTorch: to NumPy, to a copy, to a number."""

from __future__ import annotations

import re

from ...events.effects import Cut
from ...graph.creation import SourceLine
from ..failing_call import call_of
from ..origins import Origin, find_assignment
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene, TensorFacts
from ..subjects import code_of, described, find_subject, sentence, tensor_of, with_article, written

__all__ = ["LEAVES_AUTOGRAD"]

_WAYS_OUT = re.compile(r"\.(item|tolist|numpy)\(\)")
_MODULE_HINTS = (
    Hint(
        "If a module is copied: it keeps a computed tensor as an attribute. Compute it in forward, "
        "or keep it without its graph.",
        "self.cached = cached.detach()",
    ),
    Hint(
        "If the module uses torch.nn.utils.weight_norm: the newer one can be copied.",
        "torch.nn.utils.parametrizations.weight_norm(layer)",
    ),
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if says(scene, r"^can't call numpy\(\) on \w+ that requires grad"):
        return _array(scene, "numpy()", "a NumPy array", ".detach().cpu().numpy()")
    if says(scene, r"^can't export tensors that require gradient"):
        return _array(scene, "DLPack", "an array of another library", ".detach()")
    if says(scene, r"^only tensors created explicitly by the user .*deepcopy protocol"):
        return _deepcopy(scene)
    if says(scene, r"^cowardly refusing to serialize non-leaf tensor"):
        return _pickle(scene)
    if says(scene, r"^converting a tensor with requires_grad=True to a scalar"):
        return _scalar(scene)
    found = says(scene, r"^'(float|int|complex|ndarray|numpy\.\w+)' object has no attribute")
    if found is not None and says(scene, r"has no attribute 'backward'"):
        return _number(scene, found[1])
    return None


def _array(scene: Scene, what: str, goal: str, fix: str) -> Diagnosis:
    text = written(scene, "numpy", None)
    subject = tensor_of(scene, text) if text else find_subject(scene)
    name = subject.name if subject is not None and subject.names else text or "y"
    return _report(
        scene,
        f"{described(subject, text=text)} requires a gradient, so it was not made into {goal}.",
        f"Autograd does not follow what happens outside of PyTorch: the graph would end at {what} "
        "without a word. PyTorch has you say that you mean it, with detach().",
        Hint("To look at the values (print, plot, metric):", call_of(name, fix)),
        Hint(
            "If the result goes into the loss, stay in PyTorch: use the function of torch "
            "instead of the one of NumPy, or nothing before it gets a gradient."
        ),
        Hint("In evaluation, make no graph at all.", "with torch.no_grad():\n    ..."),
    )


def _deepcopy(scene: Scene) -> Diagnosis:
    text = written(scene, "deepcopy")
    subject = held = next((f for f in scene.involved if not f.is_leaf), None)
    if subject is not None and not subject.names and re.fullmatch(r"[\w.]+", text):
        subject = None  # It is part of what has this name.
    name = subject.names[0] if subject is not None and subject.names else text
    made = "" if subject is None or not subject.grad_fn else f" (by {subject.grad_fn})"
    copy = Hint("Copy the values only.", call_of(name or "y", ".detach().clone()"))
    if subject is not None:
        what = described(subject, text=text)
        summary = f"{what} was deep-copied, but it was computed from other tensors{made}."
        hints = [copy]
    elif text:
        summary = f"{text} was deep-copied, but it holds a tensor that was computed."
        hints = [*_MODULE_HINTS]
    else:
        summary = "A tensor was deep-copied, but it was computed from other tensors."
        hints = [copy, *_MODULE_HINTS]
    return _report(
        scene,
        summary,
        "A computed tensor is tied to the graph that computed it. A deep copy would have to copy "
        "this graph and all that it holds, so only leaves can be copied.",
        *hints,
        made=held,
    )


def _pickle(scene: Scene) -> Diagnosis:
    subject = next((f for f in scene.involved if not f.is_leaf), None)
    text = next(filter(None, (written(scene, call) for call in ("put", "send", "dumps"))), "")
    name = subject.names[0] if subject is not None and subject.names else text or "y"
    return _report(
        scene,
        f"{described(subject, 'A computed tensor', text)} was sent to another process, but it "
        "carries a graph.",
        "The graph lives in this process only, so a gradient could never come back from the other.",
        Hint("Send the values only.", call_of(name, ".detach()")),
        Hint("In a DataLoader, let the dataset return tensors without a graph."),
        made=subject,
    )


def _scalar(scene: Scene) -> Diagnosis:
    frame = scene.user_frame
    subject = find_subject(scene)
    name = subject.name if subject is not None and subject.names else "loss"
    what = described(subject, "A tensor that requires a gradient")
    return _report(
        scene,
        f"{what} was made into a Python number, and no gradient flows through that.",
        "A Python number has no graph. For printing and counting that is what one wants; a loss "
        "that is computed from the number has lost its gradient.",
        Hint("To print or to sum up, say so.", f"{name}.item()  # or {name}.detach()"),
        Hint("In a formula of the loss, use the tensor itself, without float() or int()."),
        certainty="certain" if frame is not None else "likely",
    )


def _number(scene: Scene, kind: str) -> Diagnosis | None:
    """Backward of what is no tensor any more."""
    expression = written(scene, "backward", None)
    if not expression:
        return None
    origin = find_assignment(scene, expression) if expression.isidentifier() else None
    text = expression if origin is None else origin.text
    way = _WAYS_OUT.search(text)
    cut = None if origin is None or way is not None else _recorded(scene, origin)
    evidence: list[Evidence] = []
    code = call_of(expression, ".backward()")
    if origin is not None:
        evidence.append(Evidence(f"{expression} was made by {origin.text}", origin.source))
        if way is not None:
            code = f"{_WAYS_OUT.sub('', text)}\n{code}"
    elif way is not None:
        code = call_of(_WAYS_OUT.sub("", text), ".backward()")
    if cut is not None:
        evidence.append(Evidence(f"the graph ended in {cut.function}, says the recording",
                                 cut.source))  # fmt: skip
    how = "" if way is None else f": {way[1]}() gave a plain number"
    print_it = f"print({call_of(_WAYS_OUT.sub('', expression), '.item()')})"
    line = cut or origin
    return _report(
        scene,
        f"{expression} is {with_article(kind)} and no tensor, so it has no backward(){how}.",
        "A Python number does not remember how it was computed. Only a tensor carries the graph "
        "that backward() goes through.",
        Hint("Keep the tensor, and call backward() on it.", code),
        Hint("Take the number out only for printing.", print_it),
        evidence=tuple(evidence),
        source=None if line is None else line.source,
    )


def _recorded(scene: Scene, origin: Origin) -> Cut | None:
    """Where a function that the assignment calls took a number out, says a recording."""
    cuts = () if scene.recording is None else scene.recording.cuts
    found = [
        cut
        for cut in cuts
        if cut.reason == "Python value"
        and cut.source is not None
        and cut.source.function.rsplit(".", 1)[-1] in {*origin.calls, "forward"}
    ]
    return found[0] if len(found) == 1 else None


def _report(
    scene: Scene,
    summary: str,
    why: str,
    *hints: Hint,
    certainty: str = "certain",
    evidence: tuple[Evidence, ...] = (),
    source: SourceLine | None = None,
    made: TensorFacts | None = None,
) -> Diagnosis:
    """The diagnosis; the guilty line is `source`, or the one that made a tensor, if it is known."""
    frame = scene.user_frame
    if made is not None and made.source is not None:
        source = made.source
        evidence = (Evidence(f"{described(made)} was made by {made.grad_fn}", source), *evidence)
    if frame is not None and code_of(frame):
        evidence = (Evidence(f"asked for by {code_of(frame)}", frame.source), *evidence)
    return Diagnosis(
        slug="leaves-autograd",
        summary=sentence(summary),
        explanation=why,
        evidence=evidence,
        hints=hints,
        certainty="likely" if certainty == "likely" else "certain",
        source=source or scene.line,
    )


LEAVES_AUTOGRAD = Rule("leaves-autograd", "A tensor leaves autograd", _diagnose)
