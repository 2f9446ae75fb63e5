"""The line that a tensor without a graph came from is read from the text, and only where it must be
that line; and the lines that only a recording, or torch's own frames, can tell.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from tests.unit.diagnosis.rules.programs import explain_program

X = "x = torch.randn(3, requires_grad=True)\n"

GRAD = "torch.autograd.grad((x * z).sum(), z)"

# The input that does not require grad came from the marked line.
FOUND = {
    "renamed": """
z = torch.randn(3)  # guilty
w = z
v = w
torch.autograd.grad((x * v).sum(), v)
""",
    "written in place": f"""
z = torch.randn(3)  # guilty
z += 1
z.mul_(2)
{GRAD}
""",
    "given as an argument": """
def grad_of(loss, of):
    return torch.autograd.grad(loss, of)
z = torch.randn(3)
z = torch.rand(3)  # guilty
grad_of((x * z).sum(), z)
""",
    "one of a batch": f"""
batches = [torch.randn(3), torch.randn(3)]
for z in batches:  # guilty
    {GRAD}
""",
    "the round before": f"""
for i in range(2):
    if i:
        {GRAD}
    z = torch.randn(3)  # guilty
""",
    "an attribute": """
class Model:
    def loss(self):
        self.z = torch.randn(3)  # guilty
        return torch.autograd.grad((x * self.z).sum(), self.z)
Model().loss()
""",
    "the only branch": f"""
if len(x) == 3:
    z = torch.randn(3)  # guilty
{GRAD}
""",
    "a frozen parameter": """
layer = torch.nn.Linear(3, 1)
weight = layer.weight
for parameter in layer.parameters():
    parameter.requires_grad = False  # guilty
torch.autograd.grad(layer(x).sum(), [weight, layer.bias])
""",
    "a parameter that never did": f"""
z = torch.nn.Parameter(torch.randn(3), requires_grad=False)  # guilty
{GRAD}
""",
}
IN_DOUBT = {
    "two branches": """
if len(x) == 3:
    z = torch.randn(3)
else:
    z = torch.rand(3)
""",
    "a loop that may not run": """
z = torch.randn(3)
for _ in range(len(x) - 3):
    z = torch.rand(3)
""",
    "out of sight": """
exec("z = torch.randn(3)")
""",
}


@pytest.mark.parametrize("name", FOUND)
def test_the_line_of_an_input(name: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, X + FOUND[name])
    assert explained.slugs == ["input-without-grad"]
    assert explained.line == explained.guilty


@pytest.mark.parametrize("name", IN_DOUBT)
def test_where_it_cannot_be_told_the_failing_line_stays(name: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, f"{X}{IN_DOUBT[name]}{GRAD}  # guilty")
    assert explained.slugs == ["input-without-grad"]
    assert explained.line == explained.guilty


def test_the_first_round_and_the_later_ones_are_in_doubt(tmp_path: Path) -> None:
    program = f"{X}z = torch.ones(3)\nfor _ in x:\n    {GRAD}  # guilty\n    z = torch.zeros(3)"
    explained = explain_program(tmp_path, program)
    assert explained.line == explained.guilty


def test_of_several_plain_tensors_none_is_guilty(tmp_path: Path) -> None:
    program = "x = torch.randn(3)\nw = torch.randn(3)\nh = x * w\nloss = h.sum()\nloss.backward()"
    explained = explain_program(tmp_path, program)
    assert explained.slugs == ["no-graph"]
    assert explained.line is None
    facts = {(fact.text, fact.source and fact.source.line) for fact in explained.first.evidence}
    assert ("x was made by `x = torch.randn(3)`", 1) in facts
    assert ("w was made by `w = torch.randn(3)`", 2) in facts
    assert not explained.has("h was made by")


def test_one_of_two_outputs_that_was_made_of_plain_data(tmp_path: Path) -> None:
    program = f"""{X}
z = torch.zeros(3)  # guilty
penalty = (z * 2).sum()
torch.autograd.backward([x.sum(), penalty])
"""
    explained = explain_program(tmp_path, program, record=True)
    assert explained.slugs == ["no-graph"]
    assert "nothing that it was computed from requires grad" in explained.first.summary
    assert explained.line == explained.guilty
    # Without a recording it may as well have been cut off.
    assert explain_program(tmp_path, program).first.certainty == "possible"


def test_the_line_that_froze_a_model(tmp_path: Path) -> None:
    program = """
    model = torch.nn.Linear(3, 1)
    model.requires_grad_(False)  # guilty
    loss = model(torch.randn(2, 3)).sum()
    loss.backward()
    """
    explained = explain_program(tmp_path, program)
    assert explained.slugs == ["no-graph"]
    assert explained.has("they were frozen by `model.requires_grad_(False)`")
    assert explained.line == explained.guilty


def test_a_number_that_another_function_took_out(tmp_path: Path) -> None:
    program = """
    x = torch.randn(3, requires_grad=True)

    def log(value):
        return value.item()

    def compute(x):
        total = (x * x).sum()
        log(total.detach())
        return float(total)  # guilty

    log(x.sum())
    loss = compute(x)
    loss.backward()
    """
    recorded = explain_program(tmp_path, program, record=True)
    assert recorded.slugs == ["leaves-autograd"]
    assert recorded.has("says the recording")
    assert recorded.line == recorded.guilty
    # Without one, the line that called it is all that is known.
    assert explain_program(tmp_path, program).line == 13


@pytest.mark.parametrize(
    "program",
    [
        "torch.func.grad(\n    lambda x: x * 2  # guilty\n)(torch.ones(3))",
        """
        class Model(torch.nn.Module):
            def forward(self, x):
                def inner(y):
                    return y
                return inner(x) * 2  # guilty

        torch.func.grad(Model())(torch.ones(3))
        """,
        """
        import functools

        def scaled(factor, x):
            return x * factor  # guilty

        torch.func.vmap(torch.func.grad(functools.partial(scaled, 2)))(torch.ones(2, 3))
        """,
        """
        def either(x):  # guilty
            if x.dim():
                return x * 2
            return x * 3

        torch.func.grad(either)(torch.ones(3))
        """,
        "torch.func.grad(torch.sin)(torch.ones(3))  # guilty",
    ],
)
def test_what_a_transform_was_given_returns_no_scalar(program: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, program)
    assert explained.slugs == ["non-scalar-output"]
    assert explained.line == explained.guilty


HOOKED = """
hooks = torch.autograd.graph.saved_tensors_hooks
calls = []

class Store:
    def pack(self, tensor):
        return tensor

    def unpack(self, packed):  # guilty
        calls.append(packed)
        return None

    def __getattr__(self, name):
        raise AssertionError(name)

def fine(packed):
    return packed

x = torch.randn(3, requires_grad=True)
with hooks(lambda t: t, fine):
    h = x.exp()
store = Store()
with hooks(store.pack, {unpack}):
    y = h.sin()
y.sum().backward()
"""


def test_of_several_unpack_hooks_a_recording_tells_which(tmp_path: Path) -> None:
    program = HOOKED.format(unpack="store.unpack")
    recorded = explain_program(tmp_path, program, record=True)
    assert recorded.slugs == ["saved-tensor-hooks"]
    assert recorded.has("the unpack hook is Store.unpack")
    assert recorded.line == recorded.guilty
    assert explain_program(tmp_path, program).line is None


def test_looking_for_an_unpack_hook_does_not_call_it() -> None:
    calls: list[object] = []

    def unpack(packed: Any) -> Any:
        calls.append(packed)
        return 1

    x = torch.ones(3, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
        y = x
        for _ in range(10_000):
            y = y.exp()
    with pytest.raises(TypeError, match="unpack_hook") as caught:
        y.sum().backward()
    assert len(calls) == 1
    start = time.thread_time()
    report = ia.explain(caught.value)
    seconds = time.thread_time() - start
    line = report.diagnoses[0].source
    assert line is not None
    assert line.line == unpack.__code__.co_firstlineno
    assert len(calls) == 1
    assert seconds < 10  # Not quadratic, whatever the machine.
