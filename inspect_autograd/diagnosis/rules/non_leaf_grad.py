"""A computed tensor was treated as if it were a leaf."""

from __future__ import annotations

import ast
import re

from ...graph.creation import SourceLine
from ..failing_call import call_of
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene, TensorFacts
from ..subjects import code_of, described, find_subject, sentence, tensor_named, written

__all__ = ["NON_LEAF_GRAD"]

_LEAVES = (
    "backward() puts gradients only into leaves: tensors that were made with requires_grad=True, "
    "and not computed from others. A computed tensor has a grad_fn instead, and its .grad stays "
    "None."
)
_NAME = r"([A-Za-z_][\w.]*(?:\[[^\]]*\])?)"


def _diagnose(scene: Scene) -> Diagnosis | None:
    if says(scene, r"the \.grad attribute of a tensor that is not a leaf tensor is being accessed"):
        return _grad_read(scene, _read_grads(scene))
    if _is_about_none(scene):
        names = [name for name in _read_grads(scene) if _is_computed(tensor_named(scene, name))]
        return _grad_read(scene, names) if names else None
    if says(scene, r"^you can only change requires_grad flags of leaf variables"):
        return _flag(scene)
    if says(scene, r"^can't optimize a non-leaf tensor"):
        return _optimizer(scene)
    found = says(
        scene,
        r"^cannot assign '(?P<type>torch\.[\w.]*Tensor)' (?:object to|as) parameter "
        r"'(?P<name>[^']+)' \(torch\.nn\.Parameter or None",
        r"^cannot assign non-leaf tensor to parameter '(?P<name>[^']+)'",
    )
    return None if found is None else _parameter(scene, found)


def _is_about_none(scene: Scene) -> bool:
    """Whether something was done with None that a tensor was expected for."""
    if scene.failure is None or scene.failure.type not in ("TypeError", "AttributeError"):
        return False
    return ".grad" in code_of(scene.user_frame) and says(scene, r"\bNoneType\b") is not None


def _read_grads(scene: Scene) -> list[str]:
    """The tensors whose `.grad` the line reads."""
    code = code_of(scene.user_frame)
    return list(dict.fromkeys(re.findall(rf"{_NAME}\.grad\b(?!\s*=[^=])", code)))


def _is_computed(facts: TensorFacts | None) -> bool:
    return facts is not None and not facts.is_leaf


def _grad_read(scene: Scene, names: list[str]) -> Diagnosis:
    frame, code = scene.user_frame, code_of(scene.user_frame)
    name = names[0] if names else ""
    facts = tensor_named(scene, name) if name else None
    shown = described(facts, name or "The tensor")
    shown = f"{name} ({facts.meta})" if facts is not None else shown
    rebinding = re.search(rf"(?:^|[;:]\s*)({re.escape(name)}\s*=\s*[^;=][^;]*)", code)
    hints = _rebinding_hints(name, rebinding[1]) if name and rebinding else _grad_hints(name)
    made = "" if facts is None or facts.grad_fn is None else f" (made by {facts.grad_fn})"
    if name and rebinding:
        summary = (
            f"{shown} is no leaf any more, so it has no .grad: {rebinding[1].strip()} made a new "
            f"tensor and gave it the name {name}."
        )
    else:
        summary = f"{shown} has no .grad, because it was computed from other tensors{made}."
    evidence = [] if facts is None else [Evidence(f"{shown} has is_leaf=False{made}", facts.source)]
    if frame is not None:
        evidence.append(Evidence(f".grad was read by {code}", frame.source))
    source = scene.line
    if facts is not None and facts.source is not None:
        source = facts.source
    return Diagnosis(
        slug="non-leaf-grad",
        summary=summary,
        explanation=_LEAVES,
        evidence=tuple(evidence),
        hints=hints,
        certainty="certain" if facts is not None else "likely",
        source=source,
    )


def _rebinding_hints(name: str, statement: str) -> tuple[Hint, ...]:
    step = re.search(rf"=\s*{re.escape(name)}\s*-\s*(.+)", statement.strip())
    value = statement.partition("=")[2].strip()
    write = f"{name} -= {step[1]}" if step is not None else f"{name}.copy_({value})"
    return (
        Hint(
            f"Change {name} in place, where autograd does not watch.",
            f"with torch.no_grad():\n    {write}\n{name}.grad = None",
        ),
        Hint("Or let an optimizer do it.", f"optimizer = torch.optim.SGD([{name}], lr=0.1)"),
    )


def _grad_hints(name: str) -> tuple[Hint, ...]:
    name = name or "y"
    return (
        Hint(
            "If it was to be a leaf (a weight, an input), make one of it where it is computed, "
            "before it is used.",
            f"{name} = {name}.detach().requires_grad_()",
        ),
        Hint(
            "If its gradient is what you want to see, ask for it before backward().",
            f"{name}.retain_grad()",
        ),
    )


def _flag(scene: Scene) -> Diagnosis:
    subject = _computed_subject(scene)
    name = subject.name if subject is not None and subject.names else "y"
    return _report(
        scene,
        f"The requires_grad of {described(subject, 'a computed tensor')} was changed, but it was "
        "computed from tensors that require a gradient.",
        "Whether a computed tensor requires a gradient follows from what it was computed from. "
        "Only for a leaf can it be chosen.",
        subject,
        Hint("To cut it off from its graph, detach it.", f"{name} = {name}.detach()"),
        Hint("To compute without a graph at all:", "with torch.no_grad():\n    ..."),
        Hint(
            "To freeze a part of a model, do it to the parameters.",
            "for parameter in model.parameters():\n    parameter.requires_grad_(False)",
        ),
    )


def _optimizer(scene: Scene) -> Diagnosis:
    subject = _computed_subject(scene)
    text = written(scene, scene.operation) if scene.operation else ""
    text = "" if text.startswith("{") else text
    name = subject.name if subject is not None and subject.names else "w"
    made = "" if subject is None or subject.grad_fn is None else f" (by {subject.grad_fn})"
    return _report(
        scene,
        f"{sentence(described(subject, text=text))} was given to an optimizer, but it was "
        f"computed from other tensors{made}.",
        f"{_LEAVES} An optimizer can only change where gradients arrive.",
        subject,
        Hint(
            "Give it the leaf that this was computed from, or make a leaf of it.",
            f"{name} = {name}.detach().requires_grad_()\n"
            f"optimizer = torch.optim.SGD([{name}], lr=0.1)",
        ),
        Hint(
            "Moving or scaling a leaf gives a computed tensor: ask for the gradient afterwards, as "
            "in torch.randn(3).to(device).requires_grad_().",
        ),
        made=None if subject is None else subject.source,
    )


def _parameter(scene: Scene, found: re.Match[str]) -> Diagnosis:
    name = found["name"]
    subject = _value(scene)
    is_leaf = subject is not None and subject.is_leaf and "type" in found.groupdict()
    text, owner = _assigned(scene, name)
    what = described(subject, text=text)
    if is_leaf:
        summary = f"The parameter {name} was given {what}, which is a plain tensor."
    else:
        summary = f"The parameter {name} was given {what}, which was computed from other tensors."
    return _report(
        scene,
        summary,
        "A parameter of a module is a leaf of the class torch.nn.Parameter, so that gradients "
        "arrive there and the optimizer finds it. What is computed from parameters is no parameter "
        "itself.",
        subject,
        Hint(
            "If it is to be learned, make a parameter with these values.",
            f"{owner}.{name} = torch.nn.Parameter({call_of(text or 'value', '.detach()')})",
        ),
        Hint(
            "If it is to be computed from other parameters, do that in forward, under another "
            "name.",
            f"def forward(self, x):\n    {name} = self.weight * 2",
        ),
        Hint(
            "If it is constant, make it a buffer.",
            f'{owner}.register_buffer("{name}", {text or "value"})',
        ),
        certain=subject is not None or "non-leaf" in scene.message,
        made=None if subject is None else subject.source,
    )


def _assigned(scene: Scene, name: str) -> tuple[str, str]:
    """Text of what was assigned to a parameter, and of the module that it belongs to."""
    if text := written(scene, "register_parameter", 1):
        return text, written(scene, "register_parameter", None) or "self"
    try:
        (statement,) = ast.parse(code_of(scene.user_frame)).body
    except (SyntaxError, ValueError):
        return "", "self"
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute):
        target = statement.targets[0]
        if target.attr == name:
            return ast.unparse(statement.value), ast.unparse(target.value)
    return "", "self"


def _value(scene: Scene) -> TensorFacts | None:
    """What was assigned: a tensor that the line names alone, else one that it computes."""
    code = code_of(scene.user_frame)
    found = re.search(
        r"(?:register_parameter\([^,]+,|(?<![=!<>])=(?!=))\s*([\w.]+)\s*\)?\s*$", code
    )
    if found is not None:
        return tensor_named(scene, found[1])
    return next((f for f in scene.involved if not f.names and not f.is_leaf), None)


def _computed_subject(scene: Scene) -> TensorFacts | None:
    subject = find_subject(scene)
    if _is_computed(subject):
        return subject
    return next((f for f in scene.involved if _is_computed(f)), None)


def _report(
    scene: Scene,
    summary: str,
    why: str,
    subject: TensorFacts | None,
    *hints: Hint,
    certain: bool = True,
    made: SourceLine | None = None,
) -> Diagnosis:
    frame = scene.user_frame
    evidence: list[Evidence] = []
    if subject is not None and subject.grad_fn is not None:
        evidence.append(
            Evidence(f"{described(subject)} was made by {subject.grad_fn}", subject.source)
        )
    if frame is not None:
        evidence.append(Evidence(f"refused: {code_of(frame)}", frame.source))
    return Diagnosis(
        slug="non-leaf-grad",
        summary=sentence(summary),
        explanation=why,
        evidence=tuple(evidence),
        hints=hints,
        certainty="certain" if certain else "likely",
        source=made or scene.line,
    )


NON_LEAF_GRAD = Rule("non-leaf-grad", "A computed tensor taken for a leaf", _diagnose)
