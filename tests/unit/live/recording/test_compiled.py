"""Compiled code: opaque, said to be so, and compiled as if nobody watched."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

import inspect_autograd as ia

BACKENDS = ("eager", "aot_eager")


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    with warnings.catch_warnings():
        # Importing the compiler warns about names that its own packages have given up.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.compiler.reset()
        yield
        torch.compiler.reset()


def counted(backend: str) -> tuple[Callable[..., object], list[int]]:
    """A backend that counts how often it compiles something, and with how many operations."""
    from torch._dynamo.backends.registry import lookup_backend

    inner = lookup_backend(backend)
    sizes: list[int] = []

    def compile_counted(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        sizes.append(len(graph.graph.nodes))
        return inner(graph, inputs)

    return compile_counted, sizes


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_compiled_inside_the_block_is_one_graph_as_outside(backend: str) -> None:
    x = torch.ones(3, 4)
    compiled_sizes = []
    for watched in (False, True):
        torch.compiler.reset()
        model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
        function, sizes = counted(backend)
        compiled = torch.compile(model, backend=function)
        if watched:
            with ia.record(model) as recording:
                compiled(x).sum().backward()
            assert recording.notes != ()
            assert "compiled code ran 1 time at" in recording.notes[-1]
            assert __file__ in recording.notes[-1]
        else:
            compiled(x).sum().backward()
        # The same program again, watched or not, needs no other compilation.
        compiled(x).sum().backward()
        with ia.record(model):
            compiled(x).sum().backward()
        compiled_sizes.append(sizes)
    assert compiled_sizes[0] == compiled_sizes[1]
    assert len(compiled_sizes[0]) == 1


def test_a_compiled_graph_is_attributed_to_the_line_that_called_it() -> None:
    @torch.compile(backend="aot_eager")
    def compiled(x: Tensor) -> Tensor:
        return (x * 2).sin().sum()

    x = torch.ones(3, requires_grad=True)
    compiled(x)
    with ia.record() as recording:
        result = compiled(x)
        (result * 2).backward()
    (node,) = recording.graph.find("CompiledFunctionBackward")
    assert node.creation is not None
    assert node.creation.function == "code compiled by torch.compile"
    assert node.source is not None
    assert node.source.function.startswith("test_a_compiled_graph")
    assert "not seen" in node.creation.reason
    (mul,) = recording.graph.find("Mul*")
    assert mul.source is not None
    assert mul.source.line == node.source.line + 1


def test_code_kept_from_the_compiler_is_seen() -> None:
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def plain(x: Tensor) -> Tensor:
        return x.exp()

    x = torch.ones(3, requires_grad=True)
    with ia.record() as recording:
        plain(x).sum().backward()
    (node,) = recording.graph.find("Exp*")
    assert node.creation is not None
    assert node.creation.function == "Tensor.exp"


def test_the_way_into_compiled_code_is_as_it_was() -> None:
    import torch._dynamo.eval_frame as frames

    before = frames._callback_from_stance, frames._maybe_set_eval_frame
    with ia.record():
        pass
    after = frames._callback_from_stance, frames._maybe_set_eval_frame
    assert after == before


FIRST = """
import sys
import torch
import inspect_autograd as ia

def double(compiled):
    x = torch.ones(3, requires_grad=True)
    (first,) = torch.autograd.grad(compiled(x), x, create_graph=True)
    try:
        first.sum().backward()
    except RuntimeError as error:
        return str(error).splitlines()[0]

assert "torch._dynamo.eval_frame" not in sys.modules
with ia.record() as recording:
    # The compiler is imported here, inside the block.
    watched = double(torch.compile(lambda x: (x**3).sum(), backend="aot_eager"))
print(watched == double(torch.compile(lambda x: (x**3).sum(), backend="aot_eager")))
print(len(recording.notes), "compiled code ran 1 time" in recording.notes[0])
print(not any("inspect_autograd" in type(f).__module__ for f in sys.meta_path))
"""


def test_a_compiler_that_is_first_loaded_inside_the_block() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", FIRST],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split("\n")[:3], done.returncode) == (["True", "1 True", "True"], 0), done
