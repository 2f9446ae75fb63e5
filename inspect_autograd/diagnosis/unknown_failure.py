"""What is known of a failure that no rule recognises: facts, no guesses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from .records import Evidence
from .rule import is_users_own
from .scene import Scene, TensorFacts

__all__ = ["MAX_FACTS", "describe_tensor", "find_facts"]

MAX_FACTS = 20
MAX_TENSORS = 6
MAX_NODES = 6


def find_facts(scene: Scene) -> tuple[Evidence, ...]:
    """The facts, those first that are nearest to the failure.

    What cannot be put into words is left out: there is nothing to be explained about that.
    """
    facts: list[Evidence] = []
    for find in _FINDERS:
        try:
            facts += find(scene)
        except Exception:
            continue
    return tuple(facts[:MAX_FACTS])


def describe_tensor(tensor: TensorFacts) -> str:
    """`x is f32[3], a leaf that requires grad, written in place 2 times`."""
    kind = "a parameter" if tensor.is_parameter else "a leaf" if tensor.is_leaf else ""
    parts = [f"a {tensor.kind}"] if tensor.kind else []
    if tensor.grad_fn is not None:
        parts.append(f"made by {tensor.grad_fn}")
    elif tensor.requires_grad:
        parts.append(f"{kind or 'a tensor'} that requires grad")
    else:
        parts.append("without a graph")
    if tensor.is_inference:
        parts.append("made in inference mode")
    if tensor.is_view:
        parts.append("a view of another tensor")
    if tensor.version:
        times = "once" if tensor.version == 1 else f"{tensor.version} times"
        parts.append(f"written in place {times}")
    what = ", ".join(parts)
    return f"{tensor.name} is {tensor.meta}, {what}" if tensor.names else f"{tensor.name}, {what}"


def _raised_by_program(scene: Scene) -> Iterator[Evidence]:
    if is_users_own(scene):
        yield Evidence("the program raised this itself, not PyTorch", scene.frames[-1].source)
        return
    is_near_torch = scene.call or scene.involved or any(f.owner == "torch" for f in scene.frames)
    if scene.frames and not is_near_torch:
        yield Evidence("no code of PyTorch is in the traceback, and no tensor on its last line")


def _statement(scene: Scene) -> Iterator[Evidence]:
    frame = scene.user_frame
    if frame is not None and frame.expression and frame.expression != frame.code:
        yield Evidence(f"`{frame.expression}` was running", frame.source)
    if scene.transforms:
        yield Evidence(f"inside {' inside '.join(reversed(scene.transforms))}")


def _tensors(scene: Scene) -> Iterator[Evidence]:
    for tensor in scene.involved[:MAX_TENSORS]:
        yield Evidence(describe_tensor(tensor), tensor.source, tensor.node)


def _call(scene: Scene) -> Iterator[Evidence]:
    if scene.call is None:
        return
    involved = {tensor.names for tensor in scene.involved if tensor.names}
    for output in scene.call.outputs[:MAX_TENSORS]:
        if output.names not in involved:
            text = f"{scene.call.call}() started from {describe_tensor(output)}"
            yield Evidence(text.replace(" is ", ", ", 1), output.source, output.node)


def _running(scene: Scene) -> Iterator[Evidence]:
    running = scene.running
    if running is None:
        return
    source = None
    if scene.graph is not None and running.node is not None:
        source = scene.graph.nodes[running.node].source
    yield Evidence(f"{running.name} was running", source, running.node)


def _saved(scene: Scene) -> Iterator[Evidence]:
    if scene.graph is None:
        return
    for state, what in (("modified", "written since"), ("freed", "freed")):
        nodes = [
            node for node in scene.graph.nodes if any(saved.state == state for saved in node.saved)
        ]
        for node in islice(nodes, MAX_NODES):
            yield Evidence(f"a tensor that {node.name} saved was {what}", node.source, node.id)
        if len(nodes) > MAX_NODES:
            yield Evidence(f"so it was with {len(nodes) - MAX_NODES} more nodes")


def _modes(scene: Scene) -> Iterator[Evidence]:
    if scene.is_inference_mode:
        yield Evidence("inference mode was on")
    elif not scene.is_grad_enabled:
        yield Evidence("gradients were turned off (no_grad)")


def _others(scene: Scene) -> Iterator[Evidence]:
    for failure in scene.chain[:3]:
        message = failure.message.splitlines()[0] if failure.message else ""
        yield Evidence(f"it came from {failure.type}: {message}", failure.source)
    for category, text in scene.warnings[:3]:
        yield Evidence(f"PyTorch warned ({category}): {text}")
    for note in scene.notes:
        yield Evidence(f"not known: {note}")


_FINDERS: tuple[Callable[[Scene], Iterator[Evidence]], ...] = (
    _raised_by_program,
    _statement,
    _tensors,
    _call,
    _running,
    _saved,
    _modes,
    _others,
)
