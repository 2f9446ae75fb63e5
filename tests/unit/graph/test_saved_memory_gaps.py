"""What is kept for nothing, and what is not counted: all of it is said."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

import inspect_autograd as ia
from inspect_autograd.graph.records import Storage
from tests.unit.graph.memory_graphs import graph_of, saved

# -- views -----------------------------------------------------------------------------------------


def test_a_small_view_keeps_its_whole_storage() -> None:
    w = torch.ones(10, requires_grad=True)
    big = torch.ones(1000, 10)
    memory = ia.capture(big[0] * w, params={"w": w}).saved_memory()
    assert memory.activation_bytes == 40_000
    (view,) = memory.views
    assert (view.storage_bytes, view.looked_at_bytes, view.unused_bytes) == (40_000, 40, 39_960)
    assert (view.tensors, view.largest.node, view.largest.node_name) == (1, 0, "MulBackward0")
    # With a copy of the row, nothing else is kept.
    copied = ia.capture(big[0].clone() * w, params={"w": w}).saved_memory()
    assert (copied.activation_bytes, copied.views) == (40, ())


def test_views_count_together_and_only_what_is_surely_unused_is_reported() -> None:
    storages = [Storage(100), Storage(100), Storage(100), Storage(100, ("w",)), Storage(100)]
    kept = [
        [saved(0, 30), saved(1, 60), saved(2, 5), saved(3, 5), saved(4, None)],
        # An expanded tensor has more bytes than its storage.
        [saved(0, 20), saved(1, 60), saved(2, 400)],
    ]
    graph = graph_of(kept, storages)
    # 1 may be looked at as a whole; 3 is the model's; of 4 it is not known.
    (view,) = graph.saved_memory().views
    assert (view.storage, view.unused_bytes, view.tensors) == (0, 50, 2)
    assert (view.largest.tensor.bytes, view.largest.node) == (30, 0)


def test_views_that_waste_most_come_first() -> None:
    sizes = [10, 30, 20, 30]
    graph = graph_of([[saved(i, 1) for i in range(4)]], [Storage(size) for size in sizes])
    assert [view.storage for view in graph.saved_memory().views] == [1, 3, 2, 0]


# -- what is not counted ---------------------------------------------------------------------------


def test_packed_tensors_are_counted_and_said_and_not_unpacked() -> None:
    x = torch.ones(4, requires_grad=True)

    def unpack(_: Any) -> torch.Tensor:
        raise AssertionError("unpacked")

    with saved_tensors_hooks(lambda tensor: tensor, unpack):
        y = x.sin()
    memory = ia.capture(y.exp(), params={"x": x}).saved_memory()
    assert [(row.name, row.tensors, row.unmeasured) for row in memory.rows] == [
        ("ExpBackward0", 1, 0),
        ("SinBackward0", 1, 1),
    ]
    assert (memory.activation_bytes, memory.tensors) == (16, 2)
    (note,) = memory.notes
    assert note.startswith("1 tensor packed by a hook")


def test_freed_and_modified_tensors_are_said() -> None:
    x = torch.ones(4, requires_grad=True)
    y = x.exp()
    loss = y.sin().sum()
    loss.backward()
    memory = ia.capture(loss, params={"x": x}).saved_memory()
    assert (memory.total_bytes, memory.tensors) == (0, 2)
    assert memory.notes[0].startswith("2 tensors freed by a backward pass")
    y = x.exp()
    z = y.sin()
    y.data.add_(1)  # Not seen by the version counter.
    assert ia.capture(z, params={"x": x}).saved_memory().notes == ()
    y.detach().add_(1)
    memory = ia.capture(z, params={"x": x}).saved_memory()
    (note,) = memory.notes
    assert note.startswith("2 tensors modified in place after being saved: counted, but backward")
    assert memory.activation_bytes == 16


def test_tensors_without_a_storage_are_said() -> None:
    graph = graph_of([[saved(None, 24), saved(None, None), saved(0, 8)]], [Storage(8)])
    memory = graph.saved_memory()
    assert memory.notes == ("2 tensors without a storage, of 24 B, not counted",)
    assert (memory.total_bytes, memory.rows[0].unmeasured) == (8, 2)
    graph = graph_of([[saved(None, None)]])
    assert graph.saved_memory().notes == ("1 tensor without a storage not counted",)


def test_sparse_tensors_count_with_their_parts() -> None:
    indices = torch.tensor([[0, 1], [1, 0]])
    sparse = torch.sparse_coo_tensor(indices, torch.ones(2), (2, 2), check_invariants=True)
    w = torch.ones(2, 3, requires_grad=True)
    memory = ia.capture(torch.sparse.mm(sparse, w), params={"w": w}).saved_memory()
    # 4 indices of 8 bytes and 2 values of 4.
    assert memory.activation_bytes == 40
    assert memory.views == ()


def test_meta_tensors_are_said() -> None:
    w = torch.ones(3, requires_grad=True, device="meta")
    memory = ia.capture(w.sin().exp(), params={"w": w}).saved_memory()
    assert memory.devices == {"meta": 24}
    assert memory.notes[0].startswith("tensors on the meta device")


def test_a_graph_that_was_cut_or_saves_nothing() -> None:
    x = torch.ones(4, requires_grad=True)
    y = x.sin().sin().sin()
    memory = ia.capture(y, params={"x": x}, max_nodes=2).saved_memory()
    assert memory.activation_bytes == 32
    assert memory.notes[-1].startswith("the graph was cut at max_nodes=2: 1 edges lead")
    memory = ia.capture(x + 1, params={"x": x}).saved_memory("scope")
    assert (memory.rows, memory.total_bytes, memory.devices) == ((), 0, {})
    assert memory.notes[0].startswith("no node saves a tensor")
    assert ia.capture(y, saved=False).saved_memory().notes == memory.notes


def test_without_names_parameters_are_not_told_apart() -> None:
    model = nn.Linear(2, 2)
    y = model(torch.ones(1, 2, requires_grad=True))
    memory = ia.capture(y).saved_memory("scope")
    assert (memory.activation_bytes, memory.parameter_bytes, memory.scopes) == (24, 0, None)
    assert [row.scope for row in memory.rows] == [None]
    assert memory.notes == (
        "no tensor has a name, so parameters count as activations: give params=model",
        "modules are inferred from the names of parameters, and there are none",
    )
    memory = ia.capture(y, params=model).saved_memory("scope")
    assert (memory.activation_bytes, memory.parameter_bytes, memory.notes) == (8, 16, ())
