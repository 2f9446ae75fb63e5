"""inference-tensor: written, saved, made to require grad, or differentiated outside of the mode."""

from pathlib import Path

import pytest

from tests.unit.diagnosis.rules.programs import each_case, either_way, explain_program

SLUG = "inference-tensor"
MADE = "with torch.inference_mode():\n    features = torch.randn(3)  # guilty\n"

# Program, what the summary says, code of the most likely fix.
CAUSES = {
    "written": (
        MADE + "features.add_(1)",
        "features (f32[3]) was made in inference mode, and `features.add_(1)` would write it",
        "features = features.clone()",
    ),
    "augmented": (
        MADE + "features += 1",
        "`features += 1` would write it in place outside of the block",
        "features = features.clone()",
    ),
    "require": (
        MADE + "features.requires_grad_()",
        "and it was to require grad.",
        "features = features.clone()",
    ),
    "saved": (
        MADE + "w = torch.randn(3, requires_grad=True)\nloss = (w * features).sum()",
        "features (f32[3]) was made in inference mode, and a node would have to keep it",
        "features = features.clone()",
    ),
    "differentiated": (
        (
            "w = torch.randn(3, requires_grad=True)\n"
            "with torch.inference_mode():\n    loss = (w * 2).sum()  # guilty\n"
            "loss.backward()"
        ),
        "loss (f32[]) was computed in inference mode, so it has no graph",
        "with torch.inference_mode(False):",
    ),
}


@each_case(SLUG)
def test_the_catalogue(tmp_path: Path, key: str, source: str) -> None:
    assert explain_program(tmp_path, source).slugs[0] == SLUG


@pytest.mark.parametrize("cause", CAUSES)
@either_way
def test_causes_are_told_apart(tmp_path: Path, cause: str, record: bool) -> None:
    source, summary, code = CAUSES[cause]
    found = explain_program(tmp_path, source, record=record)
    assert found.slugs[0] == SLUG
    assert summary in found.first.summary
    assert found.codes[0].startswith(code)
    assert found.line == found.guilty
    assert found.has(".is_inference() is True")


@pytest.mark.parametrize(
    "source",
    [
        # Another reason for the same text: no inference tensor is there.
        "y = torch.randn(3).sum()\ny.backward()",
        "with torch.no_grad():\n    y = torch.ones(3, requires_grad=True).sum()\ny.backward()",
        "raise RuntimeError('Inference tensors cannot be saved for backward.')",
    ],
)
def test_other_causes(tmp_path: Path, source: str) -> None:
    assert SLUG not in explain_program(tmp_path, source).slugs
