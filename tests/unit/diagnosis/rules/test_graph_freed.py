"""graph-freed: the same text from many causes, told apart by the graph, a recording, the text."""

from pathlib import Path

import pytest

from tests.unit.diagnosis.rules.programs import cases_of, each_case, either_way, explain_program

SLUG = "graph-freed"

TWICE = """
x = torch.randn(3, requires_grad=True)
y = (x * x).sum()
y.backward()  # guilty
y.backward()
"""
HIDDEN_STATE = """
w = torch.randn(3, 3, requires_grad=True)
h = torch.zeros(3)
for i in range(2):
    h = torch.tanh(w @ h + 1)  # guilty
    h.sum().backward()
"""
LSTM = """
lstm = torch.nn.LSTM(3, 5)
state = (torch.zeros(1, 1, 5), torch.zeros(1, 1, 5))
for step in range(2):
    out, state = lstm(torch.randn(2, 1, 3), state)  # guilty
    loss = out.pow(2).mean()
    loss.backward()
"""
RUNNING_AVERAGE = """
w = torch.randn(3, requires_grad=True)
average = torch.zeros(())
for i in range(3):
    loss = (w * i).pow(2).sum()
    average = 0.9 * average + 0.1 * loss  # guilty
    average.backward()
"""
HISTORY = """
w = torch.randn(3, requires_grad=True)
losses = []
for i in range(3):
    losses.append((w * w).sum())  # guilty
    torch.stack(losses).sum().backward()
"""
BUILT_ONCE = """
w = torch.randn(3, requires_grad=True)
features = (w * w).exp()  # guilty
for target in (1.0, 2.0):
    loss = (features - target).pow(2).sum()
    loss.backward()
"""
PENALTY = """
def train(w):
    penalty = w.pow(2).sum()  # guilty
    for target in (1.0, 2.0):
        loss = (w.exp() - target).pow(2).sum() + penalty
        loss.backward()
train(torch.randn(3, requires_grad=True))
"""
LOSS_BEFORE_LOOP = """
w = torch.randn(3, requires_grad=True)
loss = w.pow(2).sum()  # guilty
for epoch in range(3):
    loss.backward()
"""
TWO_LOSSES = """
model = torch.nn.Linear(3, 3)
h = model(torch.randn(2, 3)).tanh()  # guilty
loss_a = h.pow(2).sum()
loss_b = h.exp().sum()
loss_a.backward()
loss_b.backward()
"""
GAN = """
G = torch.nn.Linear(2, 2)
D = torch.nn.Linear(2, 1)
fake = G(torch.randn(4, 2))  # guilty
d_loss = D(fake).mean()
d_loss.backward()
g_loss = -D(fake).mean()
g_loss.backward()
"""
GRAD_TWICE = """
x = torch.randn(3, requires_grad=True)
y = x.exp().sum()
g = torch.autograd.grad(y, x)  # guilty
g2 = torch.autograd.grad(y, x)
"""
FAILED_BEFORE = """
x = torch.randn(3, requires_grad=True)
h = x.exp()
y = (h * h).sum()
def hook(g):
    if first:
        first.clear()
        raise ValueError("hook failed")
first = [True]
h.register_hook(hook)
try:
    y.backward()  # guilty
except ValueError:
    pass
y.backward()
"""
IN_A_MODULE = """
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = torch.nn.Linear(4, 4)
        self.h = torch.zeros(1, 4)
    def forward(self, x):
        self.h = torch.tanh(self.cell(x + self.h))  # guilty
        return self.h
def train(net):
    for i in range(3):
        loss = net(torch.randn(1, 4)).sum()
        loss.backward()
train(Net())
"""

TOTAL = """
w = torch.randn(3, requires_grad=True)
total = 0
for i in range(3):
    total += (w * i).pow(2).sum()  # guilty
    total.backward()
"""
SCALER = """
scaler = torch.amp.GradScaler("cpu")
w = torch.randn(3, requires_grad=True)
loss = w.pow(2).sum()
scaler.scale(loss).backward()  # guilty
scaler.scale(loss).backward()
"""
METHOD = """
class Trainer:
    def __init__(self):
        self.w = torch.randn(3, requires_grad=True)
        self.mean = torch.zeros(3)
    def step(self):
        self.mean = 0.9 * self.mean + self.w * self.w  # guilty
        loss = self.mean.sum()
        loss.backward()
trainer = Trainer()
trainer.step()
trainer.step()
"""
DICT = """
y = torch.randn(3, requires_grad=True).tanh()  # guilty
out = {"a": y.exp().sum(), "b": y.exp().mean()}
out["a"].backward()
out["b"].backward()
"""
PENALTY_OF_GRADIENT = """
x = torch.randn(2, 3, requires_grad=True)
out = x.tanh().sum()  # guilty
(g,) = torch.autograd.grad(out, x)
loss = out + g.pow(2).sum()
loss.backward()
"""

# Program, what the summary says, the most likely fix.
CAUSES = {
    "twice": (TWICE, "y (f32[]) was differentiated a second time", "y.backward(retain_graph=True)"),
    "grad_twice": (GRAD_TWICE, "y (f32[]) was differentiated a second time", "retain_graph=True)"),
    "hidden_state": (HIDDEN_STATE, "h (f32[3]) was carried over", "h = h.detach()"),
    "lstm": (LSTM, "state was carried over", "state = tuple(t.detach() for t in state)"),
    "average": (RUNNING_AVERAGE, "average (f32[]) was carried over", "average = average.detach()"),
    "history": (HISTORY, "carried over", "losses = [t.detach() for t in losses]"),
    "built_once": (BUILT_ONCE, "features (f32[3]) was computed once", "features.detach()"),
    "penalty": (PENALTY, "penalty (f32[]) was computed once", "penalty = penalty.detach()"),
    "before_loop": (LOSS_BEFORE_LOOP, "loss (f32[]) was computed once", "loss = loss.detach()"),
    "two_losses": (TWO_LOSSES, "computed from h (f32[2, 3])", "(loss_a + loss_b).backward()"),
    "gan": (GAN, "computed from fake (f32[4, 2])", "d_loss = D(fake.detach()).mean()"),
    "total": (TOTAL, "total (f32[]) was carried over", "total = total.detach()"),
    "scaler": (SCALER, "loss (f32[]) was differentiated a second time", "retain_graph=True"),
    "method": (METHOD, "self.mean (f32[3]) was carried over", "self.mean = self.mean.detach()"),
    "dict": (DICT, "computed from y (f32[3])", "(out['a'] + out[\"b\"]).backward()"),
    "gradient": (
        PENALTY_OF_GRADIENT,
        "loss was computed from out (f32[]), whose graph an earlier pass has freed.",
        "g, = torch.autograd.grad(out, x, create_graph=True)",
    ),
    "failed": (FAILED_BEFORE, "from y (f32[]) failed halfway", "y.backward(retain_graph=True)"),
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
    assert any(code in other for other in found.codes)
    assert found.line == found.guilty
    assert found.first.certainty == ("certain" if record else "likely")


def test_a_state_that_a_module_keeps_is_found_by_a_recording(tmp_path: Path) -> None:
    found = explain_program(tmp_path, IN_A_MODULE, record=True)
    assert found.first.summary.startswith("self.h (f32[1, 4]) was carried over")
    assert found.codes[0] == "self.h = self.h.detach()"
    assert found.line == found.guilty


def test_without_a_recording_it_is_not_guessed(tmp_path: Path) -> None:
    found = explain_program(tmp_path, IN_A_MODULE)
    assert found.first.certainty == "possible"
    assert "backward() from loss came to a part of the graph" in found.first.summary
    assert any("inspect_autograd.record" in code for code in found.codes)


def test_the_loss_of_another_cell(tmp_path: Path) -> None:
    source = """
    loss = torch.ones(3, requires_grad=True).exp().sum()
    exec("loss.backward()")
    exec("loss.backward()")
    """
    found = explain_program(tmp_path, source)
    assert found.first.summary.startswith("loss (f32[]) was differentiated a second time")
    assert found.first.certainty == "possible"


def test_a_common_part_that_has_no_name(tmp_path: Path) -> None:
    source = """
    def losses(model, x):
        h = model(x).tanh()  # guilty
        return h.pow(2).sum(), h.exp().sum()
    a, b = losses(torch.nn.Linear(3, 3), torch.randn(2, 3))
    a.backward()
    b.backward()
    """
    found = explain_program(tmp_path, source)
    assert found.first.summary.startswith("b and a were both computed from the same tensor")
    assert found.first.certainty == "possible"
    found = explain_program(tmp_path, source, record=True)
    assert found.first.summary.startswith("b and a were both computed from h (f32[2, 3])")
    assert found.line == found.guilty


def test_the_custom_function_that_asked(tmp_path: Path) -> None:
    source = dict(cases_of(SLUG))["twice_custom"]
    assert explain_program(tmp_path, source).has("F.backward asked for them")


def test_a_compiled_graph_may_refuse_to_be_kept(tmp_path: Path) -> None:
    source = dict(cases_of(SLUG))["aot_twice"]
    codes = explain_program(tmp_path, source).codes
    assert "torch._functorch.config.donated_buffer = False" in codes


def test_a_saved_tensor_read_by_hand(tmp_path: Path) -> None:
    source = """
    x = torch.randn(3, requires_grad=True)
    y = x.exp()
    y.sum().backward()
    print(y.grad_fn._saved_result)  # guilty
    """
    found = explain_program(tmp_path, source)
    assert found.first.summary.startswith("`y.grad_fn._saved_result` reads a saved tensor")
    assert found.line == found.guilty


def test_what_a_newcomer_reads(tmp_path: Path) -> None:
    text = str(explain_program(tmp_path, HIDDEN_STATE).report)
    start = (
        "h (f32[3]) was carried over from one step to the next together with its graph, which the\n"
        "backward pass of the step before has freed."
    )
    assert text.startswith(start)
    why = text[text.index("Why") : text.index("What was found")]
    assert why == (
        "Why\n"
        "  The forward pass keeps intermediate values for the backward pass, and backward() frees\n"
        "  them as it goes, to save memory. A graph can therefore be used once, unless the first\n"
        "  pass was told to keep the values with retain_graph=True.\n"
        "\n"
        "  Each step computes h from its value in the step before, so each loss reaches back\n"
        "  through all earlier steps. retain_graph=True would silence the error, but every pass\n"
        "  would then go through all steps so far, and become slower and slower.\n"
        "\n"
    )


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('Trying to backward through the graph a second time')",
        (
            "def check():\n"
            "    raise ValueError('saved intermediate values of the graph are freed')\n"
            "check()"
        ),
        "assert False, 'Trying to backward through the graph a second time'",
    ],
)
def test_the_same_words_from_the_user(tmp_path: Path, source: str) -> None:
    assert SLUG not in explain_program(tmp_path, source).slugs
