"""saved-tensor-hooks: wrong results, writes, places where they are forbidden."""

from pathlib import Path

import pytest

from tests.unit.diagnosis.rules.programs import each_case, either_way, explain_program

SLUG = "saved-tensor-hooks"

HOOKED = """
with torch.autograd.graph.saved_tensors_hooks({pack}, {unpack}):
    y = torch.randn(3, requires_grad=True).exp()
    z = (y * y).sum()
z.backward()
"""

# Program, what the summary says.
CAUSES = {
    "int": (HOOKED.format(pack="lambda t: 1", unpack="lambda t: t"), "a value of type int"),
    "none": (
        HOOKED.format(pack="lambda t: t", unpack="lambda t: None"),
        "An unpack hook returned nothing (None) where the backward pass from z needed",
    ),
    "numpy": (
        HOOKED.format(pack="lambda t: t.detach().numpy()", unpack="lambda t: t"),
        "a value of type numpy.ndarray",
    ),
    "written": (
        HOOKED.format(pack="lambda t: t.mul_(2)", unpack="lambda t: t"),
        "A pack hook writes in place to the tensor that it was given.",
    ),
    "forbidden": (
        (
            "with torch.autograd.graph.disable_saved_tensors_hooks('not in here'):\n"
            "    with torch.autograd.graph.save_on_cpu(): pass  # guilty"
        ),
        "Saved tensor hooks were to be set where they are forbidden: not in here.",
    ),
    "transform": (
        (
            "def loss(x):\n"
            "    with torch.autograd.graph.save_on_cpu():  # guilty\n"
            "        return x.exp().sum()\n"
            "torch.func.grad(loss)(torch.randn(3))"
        ),
        "where they are forbidden: torch.func.{grad, vjp, jacrev, hessian} don't yet support",
    ),
    "registered": (
        (
            "y = torch.randn(3, requires_grad=True).exp()\n"
            "saved = y.grad_fn._raw_saved_result\n"
            "saved.register_hooks(lambda t: t, lambda t: t)\n"
            "saved.register_hooks(lambda t: t, lambda t: t)  # guilty"
        ),
        "register_hooks() was called on a saved tensor that cannot take hooks",
    ),
}


@each_case(SLUG)
def test_the_catalogue(tmp_path: Path, key: str, source: str) -> None:
    assert explain_program(tmp_path, source).slugs == [SLUG]


@pytest.mark.parametrize("cause", CAUSES)
@either_way
def test_causes_are_told_apart(tmp_path: Path, cause: str, record: bool) -> None:
    source, summary = CAUSES[cause]
    found = explain_program(tmp_path, source, record=record)
    assert found.slugs == [SLUG]
    assert summary in found.first.summary
    if found.guilty is not None:
        assert found.line == found.guilty


def test_the_node_that_keeps_what_was_packed(tmp_path: Path) -> None:
    found = explain_program(tmp_path, CAUSES["int"][0])
    assert found.has("ExpBackward0 keeps a tensor that a hook packed")


@pytest.mark.parametrize(
    "source",
    [
        # What a hook raises itself is the user's own affair.
        HOOKED.format(pack="lambda t: t", unpack="lambda t: {}['key']"),
        "raise RuntimeError('saved tensor hooks are disabled')",
        "raise TypeError('Output of saved tensor unpack_hook expected to be a Tensor')",
    ],
)
def test_other_failures(tmp_path: Path, source: str) -> None:
    assert SLUG not in explain_program(tmp_path, source).slugs
