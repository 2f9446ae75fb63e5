"""Reports to be shown in tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inspect_autograd.diagnosis.records import Diagnosis, Evidence, Failure, Hint
from inspect_autograd.diagnosis.report import Report
from inspect_autograd.diagnosis.scene import CallFacts, FrameFacts, Scene
from inspect_autograd.graph.creation import SourceLine

CAUSE = SourceLine("model.py", 3, "Net.forward")
RAISED = SourceLine("train.py", 12, "step")
BODY = "def forward(self, x):\n    y = self.layer(x)\n    y = y.detach()\n    return y"

SCENE = Scene(
    frames=(
        FrameFacts(CAUSE, "", "user", body=BODY),
        FrameFacts(RAISED, "loss.backward()", "user"),
    ),
    torch_version="2.13.0",
)
FAILURE = Failure("RuntimeError", "element 0 of tensors does not\n require grad", RAISED)
DIAGNOSIS = Diagnosis(
    slug="no-graph",
    summary="loss (f32[]) carries no graph: `detach` cut it.",
    explanation="A loss without a graph has nowhere to go. That is why.\n\nSecond paragraph.",
    evidence=(
        Evidence("y was detached", CAUSE),
        Evidence("y is made by a layer", SourceLine("model.py", 2, "Net.forward")),
        Evidence("there are 3 parameters"),
    ),
    hints=(
        Hint("Leave out detach.", "y = self.layer(x)"),
        Hint("Or start from another tensor."),
    ),
    source=CAUSE,
)
OTHER = Diagnosis("other-thing", "It may be something else.", "Why not?", certainty="possible")


def report(*diagnoses: Diagnosis, **changes: Any) -> Report:
    values: dict[str, Any] = {"failure": FAILURE, "scene": SCENE}
    return Report(diagnoses, **(values | changes))


def diagnosis(**changes: Any) -> Diagnosis:
    return replace(DIAGNOSIS, **changes)


UNKNOWN = report(
    facts=(Evidence("`loss.backward()` was running", RAISED),),
    scene=replace(SCENE, call=CallFacts("backward", ())),
)
NASTY = report(
    diagnosis(
        slug="<b>",
        summary="x\x1b[31m <script>alert(1)</script> & `<i>`",
        explanation="\u202e </div> \n\n\n\n",
        evidence=(Evidence("</li>\n\x00", SourceLine("</code>.py", 1, "<lambda>")),),
        hints=(Hint("</ol>", "</pre>\n\tx\x07"),),
    ),
    failure=Failure("E", "</span>\ud800", None),
)
