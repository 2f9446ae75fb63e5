"""no-graph: one text from many causes, told apart by what variables carry and what was written."""

from pathlib import Path
from textwrap import dedent

import pytest

from inspect_autograd.diagnosis.explain_scene import explain_scene
from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "no-graph"
START = """
model = torch.nn.Linear(4, 3)
x, target = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
"""


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.first.certainty == ("likely" if key == "no_grad_fn" else "certain")
    # The registry of operators keeps a custom one, and through it the variables of its program.
    traceback = explained.error.__traceback__
    assert traceback is not None
    traceback.tb_frame.f_globals.clear()


def test_what_is_said(tmp_path: Path) -> None:
    program = """
    model = torch.nn.Linear(4, 3)
    h = model(torch.randn(5, 4))
    features = h.detach()
    loss = features.pow(2).mean()
    loss.backward()
    """
    assert told(explain_program(tmp_path, program).first) == dedent("""\
        loss (f32[]) has no graph: `h.detach()` at program.py:4 cut it off.

        backward() walks the graph of operations from the result back to the tensors
        that require grad. PyTorch notes an operation in that graph only if one of its
        inputs requires grad and recording is on; what has no graph has nothing to walk.

        - the graph ends in `h.detach()` at program.py:4, where h (f32[5, 3], made by
        AddmmBackward0) goes in @4
        - loss: f32[], requires_grad False, grad_fn None
        - variables that do carry a graph: h (f32[5, 3])
        * Use the tensor itself.
              h  # instead of h.detach()
        (certain, line 4)
        """)


CAUSES = {
    "data": (
        "w = model.weight\nloss = (w.data * 2).sum()  # guilty",
        "`w.data` at program.py:6 takes the values only",
        "w  # instead of w.data",
    ),
    "item": (
        "total = model(x).sum()\nloss = torch.tensor(total.item())  # guilty",
        "`total.item()` at program.py:6 makes a plain number",
        "loss = total  # not total.item()",
    ),
    "list of numbers": (
        (
            "losses = [model(x).sum().item() for _ in range(3)]\n"
            "loss = torch.tensor(losses).mean()  # guilty"
        ),
        "`torch.tensor(losses)` at program.py:6 copies the values into a new tensor",
        "losses.append(loss)  # not loss.item()\ntotal = torch.stack(losses).mean()",
    ),
    "indices": (
        (
            "scores = model(x)\n_, chosen = scores.max(1)  # guilty\n"
            "loss = (chosen == target).float().mean()"
        ),
        "`scores.max(1)` at program.py:6 gives whole numbers or truth values",
        "loss = torch.nn.functional.cross_entropy(scores, target)",
    ),
    "argmax": (
        "scores = model(x)\nchosen = scores.argmax(dim=1)  # guilty\nloss = chosen.float().mean()",
        "`scores.argmax(dim=1)` at program.py:6 gives whole numbers",
        "loss = torch.nn.functional.cross_entropy(scores, target)",
    ),
    "comparison": (
        "scores = model(x)\nloss = (scores > 0).float().mean()  # guilty",
        "`scores > 0` at program.py:6 gives whole numbers",
        "torch.sigmoid(10 * scores)  # instead of scores > 0",
    ),
    "cast": (
        "scores = model(x)\nloss = scores.to(torch.int64).sum()  # guilty",
        "`scores.to(torch.int64)` at program.py:6 gives whole numbers",
        "scores  # instead of scores.to(torch.int64)",
    ),
    "no_grad": (
        "with torch.no_grad():\n    out = model(x)  # guilty\nloss = out.sum()",
        "it was computed under torch.no_grad() at program.py:6",
        "loss = ...  # computed outside of the block\nloss.backward()",
    ),
    "decorated": (
        (
            "@torch.no_grad()\ndef step():\n    loss = model(x).sum()  # guilty\n"
            "    loss.backward()\nstep()\nloss = 0"
        ),
        "it was computed under torch.no_grad() at program.py:7",
        "loss = ...  # computed outside of the block\nloss.backward()",
    ),
}


@pytest.mark.parametrize("name", CAUSES)
def test_causes_that_are_certain(name: str, tmp_path: Path) -> None:
    lines, summary, code = CAUSES[name]
    explained = explain_program(tmp_path, f"{START}\n{lines}\nloss.backward()\n")
    assert explained.slugs == [SLUG]
    assert summary in explained.first.summary, explained.first.summary
    assert explained.codes[0] == code
    assert explained.line == explained.guilty
    assert explained.first.certainty == "certain"


LIKELY = {
    "frozen model": (
        "model.requires_grad_(False)\nloss = model(x).sum()",
        "no parameter of model requires grad",
        "model.requires_grad_(True)",
    ),
    "off for all": (
        "torch.set_grad_enabled(False)\nloss = model(x).sum()\ntorch.set_grad_enabled(True)",
        "it was computed under torch.set_grad_enabled(False)",
        "loss = ...  # computed outside of the block\nloss.backward()",
    ),
    "cut inside of the model": (
        (
            "class Cut(torch.nn.Linear):\n"
            "    def forward(self, x):\n        return super().forward(x).detach()\n"
            "model = Cut(4, 3)\nloss = model(x).sum()"
        ),
        "model has parameters that require grad, but what it returned was cut off from them",
        "assert torch.is_grad_enabled()",
    ),
    "cut inside of a function": (
        (
            "def measure(w):\n    return torch.tensor(w.sum().item())\n"
            "w = model.weight\nloss = measure(w)"
        ),
        "`measure(w)` at program.py:8 took a tensor with a graph and returned one without",
        "",
    ),
    "plain data": (
        "del model\nloss = (x - 1).pow(2).sum()",
        "nothing that it was computed from requires grad",
        "x.requires_grad_()",
    ),
}


@pytest.mark.parametrize("name", LIKELY)
def test_causes_that_are_likely(name: str, tmp_path: Path) -> None:
    lines, summary, code = LIKELY[name]
    explained = explain_program(tmp_path, f"{START}\n{lines}\nloss.backward()\n")
    assert summary in explained.first.summary, explained.first.summary
    assert explained.first.certainty == "likely"
    assert (explained.codes[0] if code else "") == code
    # Making the result itself a leaf is the fix that hides the error; nobody is told to do it.
    assert not any(code.startswith("loss.requires_grad_()") for code in explained.codes)


def test_a_mask_is_not_taken_for_the_cut(tmp_path: Path) -> None:
    program = "x = torch.randn(3)\nloss = torch.where(x > 0, x, -x).sum() + x[x > 1].sum()\n"
    explained = explain_program(tmp_path, program + "loss.backward()\n")
    assert "nothing that it was computed from requires grad" in explained.first.summary


def test_the_second_of_several_outputs(tmp_path: Path) -> None:
    program = """
    out = torch.nn.Linear(2, 1)(torch.randn(3, 2))
    main = out.mean()
    extra = out.detach().pow(2).mean()  # guilty
    torch.autograd.backward([main, extra])
    """
    explained = explain_program(tmp_path, program)
    assert explained.first.summary.startswith("extra (f32[]), output 1 of 2, has no graph: ")
    assert explained.line == explained.guilty
    assert explained.first.hints[0].text.startswith("If extra is not to be trained, leave out")


def test_a_custom_function_whose_result_is_marked(tmp_path: Path) -> None:
    program = """
    class Round(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.round()
            ctx.mark_non_differentiable(y)
            return y

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    x = torch.randn(3, requires_grad=True)
    y = Round.apply(x)  # guilty
    y.sum().backward()
    """
    explained = explain_program(tmp_path, program)
    assert "`Round.apply(x)` at program.py:14 gave a result that is marked" in (
        explained.first.summary
    )
    assert explained.line == explained.guilty


def test_a_reentrant_checkpoint(tmp_path: Path) -> None:
    program = f"""{START}
from torch.utils.checkpoint import checkpoint
h = checkpoint(model, x, use_reentrant=True)  # guilty
h.sum().backward()
"""
    explained = explain_program(tmp_path, program)
    assert "a reentrant checkpoint at program.py:6 had no input that requires grad" in (
        explained.first.summary
    )
    assert explained.line == explained.guilty
    assert explained.codes[0].endswith("use_reentrant=False)")


def test_an_operator_without_a_formula(tmp_path: Path) -> None:
    program = """
    @torch.library.custom_op("no_graph_test::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    x = torch.randn(3, requires_grad=True)
    twice(x).sum().backward()
    """
    explained = explain_program(tmp_path, program)
    assert explained.slugs == [SLUG]
    assert explained.first.summary.startswith("The custom operator no_graph_test::twice was used")
    assert 'torch.library.register_autograd("no_graph_test::twice"' in explained.codes[0]
    assert explained.has("GeneratedBackwardFor_no_graph_test_twice_defaultBackward stands for it")


def test_a_recording_names_the_cut_and_what_it_cost(tmp_path: Path) -> None:
    program = f"""{START}
def features(x):
    return model(x).detach()  # guilty

loss = features(x).pow(2).mean()
loss.backward()
"""
    explained = explain_program(tmp_path, program, record=True)
    assert explained.line == explained.guilty
    assert explained.first.certainty == "certain"
    assert explained.has("lost the path to it, says the recording")


@pytest.mark.parametrize(
    "program",
    [
        'raise RuntimeError("element 0 of tensors does not require grad")',
        (
            "class Trainer:\n    def backward(self):\n        raise RuntimeError("
            '"element 0 of tensors does not require grad and does not have a grad_fn")\n'
            "Trainer().backward()"
        ),
        "torch.ones(3).requires_grad_().sum().backward(torch.ones(2))",
    ],
)
def test_what_is_none_of_it(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, program).slugs


def test_an_old_wording_without_any_frame() -> None:
    message = "element 0 of variables does not require grad and does not have a grad_fn"
    (diagnosis,) = explain_scene(Scene(failure=Failure("RuntimeError", message))).diagnoses
    assert (diagnosis.slug, diagnosis.certainty) == (SLUG, "possible")
