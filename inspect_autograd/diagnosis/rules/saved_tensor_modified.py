"""A tensor was written in place after a node had saved it for the backward pass."""

from __future__ import annotations

import re
from collections import Counter

from ...graph.records import Node
from ..late_write import LateWrite, find_late_writes, is_leaf_memory
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import ModifiedFacts, Scene
from ..second_pass import calling_frames
from ..statements import read_function

__all__ = ["SAVED_TENSOR_MODIFIED"]

SLUG = "saved-tensor-modified"
_TEXT = r"variables? needed for gradient computation has been modified by an in[- ]?place operation"
_DETAILS = (
    r"\[(?:torch\.)?(?P<type>[\w.]+) ?\[(?P<shape>[\d, ]*)\]\](?:, which is output \d+ of "
    r"(?P<op>\w+),)? is at version (?P<now>\d+); expected version (?P<then>\d+)"
)
_WHY = (
    "Nodes keep the tensors that they need for the backward pass as they are, without copying "
    "them. PyTorch counts the writes to every tensor; if the count has changed since, the "
    "gradient would be computed from the wrong values, and it refuses."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if not says(scene, _TEXT):
        return None
    facts = next(iter(scene.modified), None)
    if facts is None or scene.graph is None:
        return _from_message(scene)
    node = scene.graph.nodes[facts.node]
    writes = find_late_writes(scene, facts)
    # A leaf that requires grad can only have been written without recording: an update.
    if is_leaf_memory(scene, facts):
        summary, hints = _update(scene, facts, writes)
    else:
        summary, hints = _write(scene, facts, node, writes)
    return Diagnosis(
        SLUG,
        summary,
        _why(facts, node) + "\n\n" + _WHY,
        _evidence(scene, facts, node, writes),
        tuple(hints),
        writes[0].certainty if writes else "likely",
        writes[0].source if writes else None,
    )


def _why(facts: ModifiedFacts, node: Node) -> str:
    source = "its own result" if facts.is_result else "its inputs"
    return (
        f"The gradient of {_operation(node)} is computed from {source}, so {node.name} keeps "
        f"{_name(facts)}."
    )


def _update(
    scene: Scene, facts: ModifiedFacts, writes: tuple[LateWrite, ...]
) -> tuple[str, list[Hint]]:
    who = writes[0].how if writes else "An update"
    name = _name(facts)
    kind = "leaf" if facts.tensor.is_leaf and not facts.tensor.is_parameter else "parameter"
    subject = f"`{who}`" if writes else who
    summary = (
        f"{subject} changed the {kind} {name} after the forward pass had used it and before the "
        "backward pass through it."
    )
    output = scene.output
    loss = output.names[0] if output is not None and output.names else "loss"
    hints = _carried_hint(scene)
    if _ran_before(scene, loss):
        hints.append(
            Hint(
                f"{loss} was computed with the old parameters. Compute it again after the update "
                "instead of keeping its graph.",
                _computation(scene, loss) or f"{loss} = ...",
            )
        )
        return summary, hints
    step = "optimizer.step()" if not writes or who.startswith("torch.optim.") else who
    first = _other_pass(scene, loss)
    order = "\n".join([*([f"{first}.backward()"] if first else []), f"{loss}.backward()", step])
    hints.append(
        Hint("Run all backward passes first, and update the parameters after them.", order)
    )
    again = _computation(scene, loss)
    hints.append(Hint(f"Or compute {loss} after the update.", f"{step}\n{again}" if again else ""))
    hints.append(
        Hint(f"If {loss} is not to train {name}, compute it from a detached input or parameter.")
    )
    return summary, hints


def _write(
    scene: Scene, facts: ModifiedFacts, node: Node, writes: tuple[LateWrite, ...]
) -> tuple[str, list[Hint]]:
    operation = _operation(node)
    what = f"the result of {operation}" if facts.is_result else f"an input of {operation}"
    who = f"`{writes[0].how}`" if writes else "Something"
    if writes and writes[0].certainty == "possible":
        who = f"A write in place, likely {writes[0].how},"
    again = f" ({len(writes)} writes in all)" if len(writes) > 1 else ""
    summary = (
        f"{who} changed {_described(facts, what)}, though {node.name} had saved it for "
        f"the backward pass{again}."
    )
    variable = facts.tensor.names[0] if facts.tensor.names else "y"
    if writes and writes[0].name:
        variable = writes[0].name
    hints: list[Hint] = []
    if writes and _is_view(scene, writes[0].name) and writes[0].name != _name(facts):
        text = f"{writes[0].name} shares the memory of {_name(facts)}. Write to a copy."
        return summary, [Hint(text, f"{writes[0].name} = {writes[0].name}.clone()")]
    if writes and writes[0].out_of_place and "clone()" not in writes[0].out_of_place:
        hints.append(Hint("Compute a new tensor instead of writing.", writes[0].out_of_place))
    elif writes and "relu" in writes[0].how.lower():
        hints.append(Hint("Use the activation without inplace=True.", "torch.nn.ReLU()"))
    copy = f"{variable} = {variable}.clone()"
    if writes and writes[0].name:
        copy += f"\n{writes[0].how}"
    also = "Or write" if hints else "Write"
    hints.append(Hint(f"{also} to a copy; {node.name} then keeps the original.", copy))
    if not facts.is_result:
        hints.append(Hint("Or write only after the backward pass."))
    return summary, hints


def _is_view(scene: Scene, name: str) -> bool:
    return any(f.tensors[name].is_view for f in scene.frames if name in f.tensors)


def _described(facts: ModifiedFacts, what: str) -> str:
    """`y (f32[3]), the result of exp`."""
    if not facts.saved.alias and not facts.tensor.names:
        return f"{what} (a tensor {facts.tensor.meta})"
    return f"{_name(facts)} ({facts.tensor.meta}), {what}"


def _carried_hint(scene: Scene) -> list[Hint]:
    """Where retain_graph keeps the graphs of earlier steps: cut what leads back to them."""
    if scene.call is None or not scene.call.retain_graph:
        return []
    name = "state"
    for frame in calling_frames(scene):
        function = read_function(frame)
        statement = None if function is None else function.at(frame)
        if function is not None and statement is not None and statement.loops:
            carried = [n for n in function.carried(statement.loops[-1]) if n in frame.tensors]
            name = carried[0] if carried else name
            break
    return [
        Hint(
            "retain_graph=True keeps the graphs of earlier steps, whose parameters have changed "
            "since. Cut what is carried over from one step to the next, and leave it out.",
            f"{name} = {name}.detach()",
        )
    ]


def _from_message(scene: Scene) -> Diagnosis:
    """Without a graph, as where the saved tensor was read by hand."""
    details = says(scene, _DETAILS)
    what, counts = "a tensor", ""
    if details is not None:
        what = f"a tensor of shape [{details['shape']}]"
        if details["op"]:
            what = f"the result of {details['op'].removesuffix('Backward0')}, {what}"
        counts = f" (version {details['then']} when it was saved, {details['now']} now)"
    frame = scene.user_frame
    return Diagnosis(
        SLUG,
        f"{what[0].upper()}{what[1:]}, was written in place after it had been saved for the "
        f"backward pass{counts}.",
        _WHY,
        ()
        if frame is None
        else (Evidence(f"it was needed by {frame.source.short}", frame.source),),
        (
            Hint("Compute a new tensor instead of writing in place.", "y = y + 1  # not y += 1"),
            Hint("Or write to a copy.", "y = y.clone()"),
            Hint(
                "To see which line wrote it, run the program inside a recording.",
                "with inspect_autograd.record(model):\n    ...",
            ),
        ),
        "likely",
    )


def _evidence(
    scene: Scene, facts: ModifiedFacts, node: Node, writes: tuple[LateWrite, ...]
) -> tuple[Evidence, ...]:
    place = "" if node.source is None else f" ({node.source.short})"
    scope = f" in {node.scope}" if node.scope else ""
    found = [
        Evidence(
            f"{node.name}{place}{scope} saved {_name(facts)} as `{facts.saved.name}`",
            node.source,
            node.id,
        )
    ]
    if facts.expected is not None and facts.version is not None:
        found.append(
            Evidence(f"it was at version {facts.expected} then, and is at {facts.version} now")
        )
    counts = Counter((w.source, w.how) for w in writes if w.certainty != "possible")
    for (line, how), count in list(counts.items())[:5]:
        times = f", {count} times" if count > 1 else ""
        if line is not None:
            found.append(Evidence(f"{line.short} wrote it{times}: {how}", line))
    others = {other.node for other in scene.modified} - {node.id}
    if others:
        names = sorted({_name(other) for other in scene.modified if other.node in others})[:4]
        who = f"{len(others)} more node{'s' * (len(others) != 1)}"
        found.append(Evidence(f"{who} saved tensors that were written since: {', '.join(names)}"))
    return tuple(found)


def _name(facts: ModifiedFacts) -> str:
    names = (*facts.saved.alias, *facts.tensor.names)
    return names[0] if names else f"a tensor {facts.tensor.meta}"


def _operation(node: Node) -> str:
    """`sigmoid` for SigmoidBackward0."""
    name = re.sub(r"Backward\d*$", "", node.name)
    return name if node.kind == "custom" else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _ran_before(scene: Scene, loss: str) -> bool:
    """Whether the text shows an earlier pass from the same name."""
    for frame in calling_frames(scene):
        function = read_function(frame)
        statement = None if function is None else function.at(frame)
        if function is None or statement is None:
            continue
        for other in reversed(function.before(statement)):
            if loss in other.assigned:
                return False
            if loss in other.differentiated:
                return True
    return False


def _other_pass(scene: Scene, loss: str) -> str:
    """What the last pass above the failing one started from."""
    for frame in calling_frames(scene):
        function = read_function(frame)
        statement = None if function is None else function.at(frame)
        if function is None or statement is None:
            continue
        for other in reversed(function.before(statement)):
            names = [name for name in other.differentiated if name and name != loss]
            if names:
                return names[0]
    return ""


def _computation(scene: Scene, name: str) -> str:
    """The statement that computes a variable."""
    for frame in calling_frames(scene):
        function = read_function(frame)
        for statement in () if function is None else function.statements:
            if name in statement.assigned:
                return statement.text
    return ""


SAVED_TENSOR_MODIFIED = Rule(SLUG, "A saved tensor was modified in place", _diagnose)
