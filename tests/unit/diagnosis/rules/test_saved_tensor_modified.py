"""saved-tensor-modified: which tensor, which node needed it, which line wrote it."""

from pathlib import Path

import pytest

from tests.unit.diagnosis.rules.programs import each_case, either_way, explain_program

SLUG = "saved-tensor-modified"

INPUT = """
w = torch.randn(3, requires_grad=True)
x = torch.randn(3)
y = w * x
x.mul_(2)  # guilty
y.sum().backward()
"""
INPUT_ROWS = """
w = torch.randn(3, requires_grad=True)
batch = torch.randn(4, 3)
loss = (batch * w).sum()
batch[0] = 0  # guilty
loss.backward()
"""
RELU = """
x = torch.randn(3, requires_grad=True)
y = torch.sigmoid(x)
torch.relu_(y)  # guilty
y.sum().backward()
"""
RESIDUAL = """
x = torch.randn(3, requires_grad=True)
h = torch.tanh(x)
r = h
h += 1  # guilty
(r * h).sum().backward()
"""
ELEMENT = """
x = torch.randn(3, requires_grad=True)
y = x.exp()
y[0] = 0  # guilty
y.sum().backward()
"""
MASK = """
scores = torch.randn(3, 3, requires_grad=True)
p = scores.softmax(-1)
p[p < 0.1] = 0  # guilty
p.sum().backward()
"""
CUSTOM = """
class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x
    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g
a = torch.randn(3, requires_grad=True) * 1
b = Square.apply(a)
a.add_(1)  # guilty
b.sum().backward()
"""
STEP_BETWEEN = """
G = torch.nn.Linear(2, 2)
D = torch.nn.Linear(2, 1)
opt_d = torch.optim.Adam(D.parameters())
fake = G(torch.randn(4, 2))
g_loss = -D(fake).mean()
d_loss = D(fake.detach()).mean()
d_loss.backward()
opt_d.step()  # guilty
g_loss.backward()
"""
STEP_BETWEEN_TWO_PASSES = """
w = torch.randn(2, 2, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.1)
y = (w @ w).sum()
y.backward(retain_graph=True)
optimizer.step()  # guilty
y.backward()
"""
UPDATE_BY_HAND = """
w = torch.randn(3, requires_grad=True)
loss = w.pow(3).sum()
with torch.no_grad():
    w -= 0.1  # guilty
loss.backward()
"""
STEPS_KEPT = """
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x = torch.randn(3, 2, requires_grad=True)
previous = torch.zeros(())
for i in range(3):
    loss = model(x).pow(2).sum() + previous
    loss.backward(retain_graph=True)
    optimizer.step()  # guilty
    previous = loss
"""

# Program, what the summary says, what nodes evidence names, the most likely fix.
CAUSES = {
    "input": (INPUT, "`x.mul_(2)` changed x (f32[3]), an input of mul", "x = x.mul(2)"),
    "rows": (INPUT_ROWS, "`batch[0] = 0` changed batch", "batch = batch.clone()\nbatch[0] = 0"),
    "relu": (RELU, "`torch.relu_(y)` changed y (f32[3]), the result of sigmoid", "y = y.relu()"),
    "residual": (RESIDUAL, "`h += 1` changed h (f32[3]), the result of tanh", "h = h + 1"),
    "element": (
        ELEMENT,
        "`y[0] = 0` changed y (f32[3]), the result of exp",
        "y = y.clone()\ny[0] = 0",
    ),
    "mask": (MASK, "`p[p < 0.1] = 0` changed p", "p = p.clone()\np[p < 0.1] = 0"),
    "custom": (CUSTOM, "`a.add_(1)` changed a (f32[3]), an input of Square", "a = a.add(1)"),
    "by hand": (UPDATE_BY_HAND, "`w -= 0.1` changed the leaf w", "loss.backward()\nw -= 0.1"),
    "step": (
        STEP_BETWEEN,
        "changed the parameter D.weight after the forward pass",
        "d_loss.backward()\ng_loss.backward()",
    ),
    "two passes": (STEP_BETWEEN_TWO_PASSES, "changed the leaf w", "y = (w @ w).sum()"),
    "steps kept": (
        STEPS_KEPT,
        "changed the parameter model.weight",
        "previous = previous.detach()",
    ),
}


@each_case(SLUG)
@either_way
def test_the_catalogue(tmp_path: Path, key: str, source: str, record: bool) -> None:
    assert explain_program(tmp_path, source, record=record).slugs == [SLUG]


@pytest.mark.parametrize("cause", CAUSES)
@either_way
def test_causes_are_told_apart(tmp_path: Path, cause: str, record: bool) -> None:
    source, summary, code = CAUSES[cause]
    found = explain_program(tmp_path, source, record=record)
    assert found.slugs == [SLUG]
    assert summary in found.first.summary
    assert found.codes[0].startswith(code)
    assert found.line == found.guilty
    assert found.first.certainty == ("certain" if record else "likely")


def test_a_view_of_what_was_saved(tmp_path: Path) -> None:
    source = """
    y = torch.randn(4, requires_grad=True).exp()
    v = y[:2]
    v.mul_(2)  # guilty
    y.sum().backward()
    """
    found = explain_program(tmp_path, source)
    assert found.first.summary.startswith("`v.mul_(2)` changed y (f32[4]), the result of exp")
    assert found.codes == ["v = v.clone()"]
    assert found.line == found.guilty


def test_the_optimizer_is_named(tmp_path: Path) -> None:
    found = explain_program(tmp_path, STEP_BETWEEN)
    assert found.first.summary.startswith("`opt_d.step()` changed")
    found = explain_program(tmp_path, STEP_BETWEEN, record=True)
    assert found.first.summary.startswith("`torch.optim.Adam.step()` changed")
    assert found.has("AddmmBackward0 (program.py:6)")
    assert found.has("it was at version 1 then, and is at 2 now")


def test_every_write_is_counted(tmp_path: Path) -> None:
    source = """
    y = torch.randn(3, requires_grad=True).exp()
    for i in range(3):
        y += 1  # guilty
    y.sum().backward()
    """
    found = explain_program(tmp_path, source, record=True)
    assert "(3 writes in all)" in found.first.summary
    assert found.has("program.py:4 wrote it, 3 times: y += 1")
    assert found.line == found.guilty


def test_a_write_in_another_function_is_found_by_a_recording(tmp_path: Path) -> None:
    source = """
    def block(x):
        h = torch.tanh(x)
        h += x  # guilty
        return h
    loss = block(torch.randn(3, requires_grad=True)).sum()
    loss.backward()
    """
    found = explain_program(tmp_path, source, record=True)
    assert found.first.summary.startswith("`h += x` changed the result of tanh (a tensor f32[3])")
    assert found.codes[0] == "h = h + x"
    assert found.line == found.guilty
    # Without one, the graph still tells what kind of write it was.
    found = explain_program(tmp_path, source)
    assert found.first.summary.startswith("A write in place, likely `+=` or add_(), changed")
    assert found.first.certainty == "possible"
    assert found.line is None


def test_an_activation_module(tmp_path: Path) -> None:
    source = """
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Sigmoid(), torch.nn.ReLU(True))
    loss = net(torch.randn(2, 3)).sum()  # guilty
    loss.backward()
    """
    found = explain_program(tmp_path, source)
    assert "likely relu_() or nn.ReLU(inplace=True)" in found.first.summary
    assert found.codes[0] == "torch.nn.ReLU()"
    found = explain_program(tmp_path, source, record=True)
    assert found.first.summary.startswith("`torch.nn.functional.relu in Sequential.2` changed")
    assert found.line == found.guilty


def test_why_depends_on_what_was_saved(tmp_path: Path) -> None:
    result = explain_program(tmp_path, RELU).first.explanation
    assert result.startswith(
        "The gradient of sigmoid is computed from its own result, so SigmoidBackward0 keeps y."
    )
    given = explain_program(tmp_path, INPUT).first.explanation
    assert given.startswith(
        "The gradient of mul is computed from its inputs, so MulBackward0 keeps x."
    )


def test_what_a_newcomer_reads(tmp_path: Path) -> None:
    text = str(explain_program(tmp_path, ELEMENT, record=True).report)
    assert text.startswith(
        "`y[0] = 0` changed y (f32[3]), the result of exp, though ExpBackward0 had saved it for\n"
        "the backward pass.\n"
    )
    found = text[text.index("What was found") : text.index("What to do")].splitlines()
    assert [line for line in found if line.startswith("  - ")] == [
        "  - ExpBackward0 (program.py:3) saved y as `result`",
        "  - it was at version 0 then, and is at 1 now",
        "  - program.py:4 wrote it: y[0] = 0",
    ]


@pytest.mark.parametrize(
    "source",
    [
        (
            "raise RuntimeError('one of the variables needed for gradient computation has been "
            "modified by an inplace operation')"
        ),
        "raise ValueError('the batch has been modified by an inplace operation')",
    ],
)
def test_the_same_words_from_the_user(tmp_path: Path, source: str) -> None:
    assert SLUG not in explain_program(tmp_path, source).slugs
