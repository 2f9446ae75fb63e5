"""Why a backward pass that is about to start would fail, asked of the rules about failures."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from ...diagnosis.explain_scene import explain_scene
from ...diagnosis.records import Diagnosis, Evidence, Failure
from ...diagnosis.scene import CallFacts, Scene
from ...graph.graph import Graph
from ..capture import LiveCapture
from ..holders.frames import read_locals
from ..post_mortem.functions import describe_functions
from ..post_mortem.modified import find_modified
from ..post_mortem.tensors import TensorDescriber
from ..saved import look_again
from .collect import Program

__all__ = ["predict"]

_NOT_THE_USERS = (str(Path(__file__).parents[2]), str(Path(torch.__file__).parent))
_NOT_SCALAR = "grad can be implicitly created only for scalar outputs"
_NO_GRAPH = "element {} of tensors does not require grad and does not have a grad_fn"
_FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)


def predict(program: Program) -> list[Diagnosis]:
    """One diagnosis for each way in which `backward()` would fail, as of now.

    To be called inside `unobserved()`. Nothing is run: what the engine would say is known from
    the outputs, and from the state of what the nodes saved.
    """
    scene = _scene(program)
    found = []
    for slug, message, index in _messages(program):
        failing = scene
        if scene.call is not None:
            failing = replace(scene, call=replace(scene.call, failing=index))
        found.append(_explain(replace(failing, failure=Failure("RuntimeError", message)), slug))
    return found


def _messages(program: Program) -> Iterator[tuple[str, str, int | None]]:
    """The slug of the failure, what PyTorch would say, and which loss it is about."""
    for index, loss in enumerate(program.losses):
        if loss.requires_grad and loss.numel() != 1:
            yield "non-scalar-output", _NOT_SCALAR, index
            break
    for index, loss in enumerate(program.losses):
        if not loss.requires_grad:
            yield "no-graph", _NO_GRAPH.format(index), index
            break
    if program.captured is not None:
        modified = _first_modified(program.captured)
        if modified:
            yield "saved-tensor-modified", modified, None
        if _is_partly_freed(program.captured.graph):
            yield "graph-freed", _FREED, None


def _is_partly_freed(graph: Graph) -> bool:
    """Whether a part of the graph was freed, by a backward pass from elsewhere.

    Where all of it was, the loss itself has been gone back from, and nobody need want that again.
    """
    states = {saved.state for tensors in graph.node_table.saved.values() for saved in tensors}
    return "freed" in states and len(states) > 1


def _first_modified(captured: LiveCapture) -> str:
    """What PyTorch says of the modified tensor that the engine would come to first."""
    graph = captured.graph
    nodes = list(captured.ids)
    bad = [
        (graph.node_table.sequence_nrs[id] or 0, id, saved.name)
        for id, tensors in graph.node_table.saved.items()
        for saved in tensors
        if saved.state == "modified"
    ]
    for _, id, name in sorted(bad, reverse=True):
        with contextlib.suppress(Exception):
            message = look_again(nodes[id], name)[1]
            if message:
                return message
    return ""


def _scene(program: Program) -> Scene:
    captured, recording = program.captured, program.recording
    describer = TensorDescriber(program.names)
    if captured is not None:
        describer.ids = captured.ids
    for name, tensor in _variables_of_caller():
        if any(tensor is loss for loss in program.losses):
            describer.name(tensor, name)
    scene = Scene(
        call=CallFacts(
            "backward",
            tuple(describer.describe(loss) for loss in program.losses),
            tuple(None for _ in program.losses),
        ),
        graph=None if captured is None else captured.graph,
        is_grad_enabled=True,
        is_inference_mode=torch.is_inference_mode_enabled(),
        recording=recording,
        torch_version=torch.__version__,
    )
    if captured is None:
        return scene
    with contextlib.suppress(Exception):
        scene = replace(scene, functions=describe_functions(captured.ids, [], ""))
    with contextlib.suppress(Exception):
        writes = () if recording is None else recording.mutations
        message = _first_modified(captured)
        modified = find_modified(captured.graph, captured.ids, describer, message, writes)
        scene = replace(scene, modified=modified)
    return scene


def _variables_of_caller() -> Iterable[tuple[str, torch.Tensor]]:
    """The tensors among the variables of the function that called us."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frame = frame.f_back
    # Not `f_locals`, of which the frame may keep a copy, and with it all that is in it.
    return [(name, value) for name, value in read_locals(frame) if isinstance(value, torch.Tensor)]


def _explain(scene: Scene, slug: str) -> Diagnosis:
    message = scene.message
    would = Evidence(f"nothing has failed yet; backward() would raise RuntimeError: {message}")
    for diagnosis in explain_scene(scene).diagnoses:
        return replace(diagnosis, evidence=(*diagnosis.evidence, would))
    return Diagnosis(
        slug=slug,
        summary="backward() would fail on this loss.",
        explanation="PyTorch would refuse it with the message below.",
        evidence=(would,),
    )
