"""A custom Function that returns the wrong gradients, or lacks a part."""

from pathlib import Path
from textwrap import dedent

import pytest

from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.rules.custom_function import CUSTOM_FUNCTION
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "custom-function"


def function(backward: str, *, forward: str = "return x * 2", arguments: str = "x") -> str:
    """The text of a class."""
    body = "\n".join(f"        {line}" for line in dedent(backward).strip().splitlines())
    return (
        "class Mine(torch.autograd.Function):\n"
        "    @staticmethod\n"
        f"    def forward(ctx, {arguments}):\n"
        f"        {forward}\n"
        "\n"
        "    @staticmethod\n"
        "    def backward(ctx, g):\n"
        f"{body}\n"
        "\n"
        "x = torch.randn(3, requires_grad=True)\n"
        "y = torch.randn(3, requires_grad=True)\n"
    )


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.first.certainty == "certain"
    assert explained.first.summary.startswith("F")
    assert explained.first.source is not None


def test_too_few_gradients_name_who_got_none(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        function("h = g * 2\nreturn h  # guilty", forward="return x * y", arguments="x, y")
        + "Mine.apply(x, y).sum().backward()",
    )
    assert explained.first.summary == (
        "Mine.backward returned one gradient, but forward has 2 arguments (x, y): "
        "there is none for y."
    )
    assert explained.line == explained.guilty
    assert explained.codes == ["return h, None"]
    assert explained.has("y needs a gradient of f32[3]")


def test_the_return_that_fits_the_number_is_blamed(tmp_path: Path) -> None:
    backward = """
        if g.dim() == 5:
            return g, g, g
        if g.dim() == 1:
            return g, g  # guilty
        return None, None, None
    """
    explained = explain_program(
        tmp_path,
        function(backward, forward="return x * y * k", arguments="x, y, k")
        + "Mine.apply(x, y, 2).sum().backward()",
    )
    assert explained.line == explained.guilty
    assert "there is none for k." in explained.first.summary
    assert explained.codes == ["return g, g, None"]


def test_without_any_return_the_definition_is_blamed(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        function("g.sum()", forward="return x * y", arguments="x, y")
        + "Mine.apply(x, y).sum().backward()",
    )
    assert explained.first.summary.startswith("Mine.backward returned one gradient")
    assert explained.line == 7


def test_too_many(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path, function("return g, g, g  # guilty") + "Mine.apply(x).sum().backward()"
    )
    assert explained.first.summary == (
        "Mine.backward returned 3 gradients, but forward has one argument (x)."
    )
    assert explained.codes == ["return g"]
    assert explained.line == explained.guilty


@pytest.mark.parametrize(
    ("returned", "shape", "code"),
    [
        ("g.new_ones(4, 2)", "(2, 4)", "(g.new_ones(4, 2)).t()"),
        ("g.new_ones(8)", "(2, 4)", "(g.new_ones(8)).reshape([2, 4])"),
        ("g.new_ones(2)", "(2, 4)", "(g.new_ones(2)).unsqueeze(-1)"),
    ],
)
def test_a_shape_is_mended(returned: str, shape: str, code: str, tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        function(f"return {returned}  # guilty")
        + f"Mine.apply(torch.ones{shape}.requires_grad_()).sum().backward()",
    )
    assert explained.codes == [code]
    assert explained.line == explained.guilty
    assert "for x, which has shape [2, 4]" in explained.first.summary


def test_the_second_argument_is_named(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        function("return g, g.new_ones(7)", forward="return x * y", arguments="x, y")
        + "Mine.apply(x, y).sum().backward()",
    )
    assert explained.first.summary == (
        "Mine.backward returned a gradient of shape [7] for y, which has shape [3]."
    )


def test_among_numbers_the_argument_is_not_guessed(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        function("return None, g.new_ones(7)", forward="return x * k", arguments="k, x")
        + "Mine.apply(2, x).sum().backward()",
    )
    assert "for tensor argument number 1, which has shape [3]" in explained.first.summary


def test_of_several_classes_the_literal_tells_which(tmp_path: Path) -> None:
    good = function("return g").replace("Mine", "Good")
    explained = explain_program(
        tmp_path,
        good + function("return 1.5  # guilty") + "Good.apply(Mine.apply(x)).sum().backward()",
    )
    assert explained.line == explained.guilty
    assert explained.first.summary.startswith("Mine.backward returned a float (return 1.5)")
    assert explained.first.certainty == "certain"


def test_of_several_classes_without_a_literal_it_is_only_likely(tmp_path: Path) -> None:
    good = function("return g").replace("Mine", "Good")
    explained = explain_program(
        tmp_path,
        good + function("return float(g.sum())") + "Good.apply(Mine.apply(x)).sum().backward()",
    )
    assert explained.slugs == [SLUG]
    assert explained.first.certainty == "likely"


def test_a_gradient_for_a_number(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        function("return g, g, g  # guilty", forward="return x * k * m", arguments="x, k, m")
        + "Mine.apply(x, 2.0, 3).sum().backward()",
    )
    assert explained.first.summary == (
        "Mine.backward returned a gradient for k, but k was no tensor."
    )
    assert explained.codes == ["return g, None, g"]
    assert explained.line == explained.guilty


def test_backward_takes_too_few_gradients(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        function("return g", forward="return x * 2, x * 3")
        + "a, b = Mine.apply(x)\n(a + b).sum().backward()",
    )
    assert explained.slugs == [SLUG]
    assert "forward, which has 2 outputs" in explained.first.summary
    assert explained.codes == ["def backward(ctx, grad_1, grad_2):"]


def test_no_setup_context_under_vmap(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path, function("return g") + "torch.vmap(Mine.apply)(torch.randn(2, 3))"
    )
    assert explained.slugs == [SLUG]
    assert "Mine was called under torch.func.vmap" in explained.first.summary
    assert "    x, = inputs" in explained.codes[0]


def test_no_rule_for_batches(tmp_path: Path) -> None:
    text = function("return g").replace("(ctx, x)", "(x)")
    text = text.replace(
        "    @staticmethod\n    def backward",
        "    @staticmethod\n    def setup_context(ctx, inputs, output): ...\n\n"
        "    @staticmethod\n    def backward",
    )
    explained = explain_program(tmp_path, text + "torch.vmap(Mine.apply)(torch.randn(2, 3))")
    assert explained.slugs == [SLUG]
    assert explained.first.summary == (
        "Mine was called under torch.vmap, and does not say how it works on a batch."
    )


def test_a_number_is_saved(tmp_path: Path) -> None:
    saving = "ctx.save_for_backward(x, k)\n        return x * k"
    explained = explain_program(
        tmp_path,
        function("return g, None", forward=saving, arguments="x, k") + "Mine.apply(x, 2.0)",
    )
    assert explained.slugs == [SLUG]
    assert explained.first.summary == (
        "Mine.forward gave ctx.save_for_backward() a float as argument number 2, and it takes "
        "only tensors."
    )
    assert explained.line == 3


def test_the_derivative_of_an_operator() -> None:
    message = (
        "function GeneratedBackwardFor_shop_scale_defaultBackward returned an incorrect number of "
        "gradients (expected 3, got 2)"
    )
    diagnosis = CUSTOM_FUNCTION.diagnose(Scene(Failure("RuntimeError", message)))
    assert diagnosis is not None
    assert diagnosis.summary == (
        "The backward that was registered for the operator shop_scale returned one gradient, "
        "but forward has 2 arguments."
    )


@pytest.mark.parametrize(
    "program",
    [
        (
            'raise RuntimeError("function MyBackward returned an incorrect number of gradients '
            '(expected 2, got 1)")'
        ),
        'raise NotImplementedError("You must implement either the backward or vjp method")',
        'raise RuntimeError("expected Variable or None (got float)")',
        "class Plan:\n    def backward(self): ...\nPlan().backward(1)",
    ],
)
def test_what_the_program_raises_itself_is_left_alone(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, program).slugs


@pytest.mark.parametrize(
    "message",
    [
        (
            "Function MulBackward0 returned an invalid gradient at index 1 - expected device "
            "cuda:0 but got cpu"
        ),
        "expected Variable or None (got float)",  # No custom Function is anywhere.
        "expected Variable",
    ],
)
def test_what_no_custom_function_did(message: str) -> None:
    assert CUSTOM_FUNCTION.diagnose(Scene(Failure("RuntimeError", message))) is None


def test_the_text_alone_is_enough_for_a_name() -> None:
    message = (
        "Function ScaleBackward returned an invalid gradient at index 1 - "
        "expected device cuda:0 but got cpu"
    )
    diagnosis = CUSTOM_FUNCTION.diagnose(Scene(Failure("RuntimeError", message)))
    assert diagnosis is not None
    assert diagnosis.summary == (
        "Scale.backward returned a gradient for tensor argument number 2 that does not fit it: "
        "expected device cuda:0 but got cpu."
    )


def test_golden(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        function("return g", forward="return x * y", arguments="x, y")
        + "Mine.apply(x, y).sum().backward()",
    )
    assert told(explained.first) == dedent("""\
        Mine.backward returned one gradient, but forward has 2 arguments (x, y): there
        is none for y.

        backward must return one gradient for each argument of forward after ctx, in the
        same order. An argument that needs none (a number, a flag, a constant) gets
        None.

        - Mine.backward: return g @8
        - Mine.forward takes x, y @3
        - x needs a gradient of f32[3]
        - y needs a gradient of f32[3]
        * Return a gradient for y too, or None where no gradient is needed.
              return g, None
        (certain, line 8)
        """)
