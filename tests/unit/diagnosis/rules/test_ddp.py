"""DistributedDataParallel waits for gradients that do not come, or that come twice."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.rules.ddp_marked_twice import DDP_MARKED_TWICE
from inspect_autograd.diagnosis.rules.ddp_unused_parameters import DDP_UNUSED_PARAMETERS
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import explain_program

ROOT = Path(__file__).parents[4]
UNUSED, TWICE = "ddp-unused-parameters", "ddp-marked-twice"
FINISHED = (
    "Expected to have finished reduction in the prior iteration before starting a new one.\n"
    "Parameters which did not receive grad for rank 1: head.bias, head.weight\n"
    "Parameter indices which did not receive grad for rank 1: 7 8"
)

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch was built without torch.distributed"
)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What is said of the failures of `replica_process`, by the name of the program."""
    folder = tmp_path_factory.mktemp("replica")
    command = [sys.executable, "-m", "tests.unit.diagnosis.rules.replica_process", str(folder)]
    printed = subprocess.check_output(command, cwd=ROOT, text=True, stderr=subprocess.DEVNULL)
    return json.loads(printed.splitlines()[-1])


@pytest.mark.parametrize(
    "program",
    ["with_variables", "without_variables", "static", "named_by_torch", "in_an_attribute"],
)
def test_unused(program: str, said: Any) -> None:
    assert said[program]["slugs"] == [UNUSED]
    assert said[program]["certainty"] == ["certain"]


def test_indices_become_names(said: Any) -> None:
    # Frozen parameters are not counted.
    assert said["without_variables"]["summary"] == (
        "In the last step, 2 parameters of model got no gradient: spare.weight and aux.weight."
    )


def test_what_is_left_of_the_step_tells_used_from_unused(said: Any) -> None:
    evidence = said["with_variables"]["evidence"]
    assert evidence[:2] == [
        "spare.weight (f32[1, 3]) is not in the graph of out, aux and loss: it was not used",
        "aux.weight (f32[2, 3]) was used for aux, which no backward pass came from",
    ]
    assert "loss = loss + 0 * aux.sum()" in said["with_variables"]["codes"][0]


def test_where_nothing_is_left_nothing_is_claimed(said: Any) -> None:
    assert said["without_variables"]["evidence"][0] == (
        "spare.weight (f32[1, 3]) was not used in forward, or its result did not reach the loss"
    )


def test_a_static_graph_is_what_is_wrong(said: Any) -> None:
    assert said["static"]["codes"][0] == "model = DistributedDataParallel(module)"


def test_a_model_in_an_attribute(said: Any) -> None:
    assert "of self.replica got no gradient" in said["in_an_attribute"]["summary"]


def test_marked_twice(said: Any) -> None:
    assert said["twice"]["slugs"] == [TWICE]
    assert said["twice"]["summary"] == (
        "The gradient of block.bias was ready twice in one step: it is used in two reentrant "
        "checkpoints."
    )
    assert said["twice"]["codes"][0] == "checkpoint(block, x, use_reentrant=False)"


def test_marked_twice_since_it_looked_unused(said: Any) -> None:
    assert said["twice_and_found_unused"]["slugs"] == [TWICE]
    assert said["twice_and_found_unused"]["summary"].endswith(
        "came from a reentrant checkpoint after DDP had counted it as unused."
    )
    assert "replica = DistributedDataParallel(module)" in said["twice_and_found_unused"]["codes"]


def test_names_that_the_message_has() -> None:
    diagnosis = DDP_UNUSED_PARAMETERS.diagnose(Scene(Failure("RuntimeError", FINISHED)))
    assert diagnosis is not None
    assert diagnosis.summary == (
        "In the last step, 2 parameters of the model got no gradient: head.bias and head.weight."
    )


def test_indices_where_no_model_is_found() -> None:
    message = FINISHED.replace("Parameters which did not receive grad", "Nothing")
    diagnosis = DDP_UNUSED_PARAMETERS.diagnose(Scene(Failure("RuntimeError", message)))
    assert diagnosis is not None
    assert diagnosis.summary.endswith("got no gradient: those with index 7 and 8.")


def test_twice_outside_of_a_checkpoint_is_only_likely() -> None:
    message = (
        "Expected to mark a variable ready only once. This error is caused by one of the "
        "following reasons: 1) Use of a module parameter outside the `forward` function. "
        "Parameter at index 4 has been marked as ready twice."
    )
    diagnosis = DDP_MARKED_TWICE.diagnose(Scene(Failure("RuntimeError", message)))
    assert diagnosis is not None
    assert diagnosis.summary == (
        "The gradient of the parameter with index 4 was ready twice in one step."
    )
    assert diagnosis.certainty == "likely"


@pytest.mark.parametrize(
    "program",
    [
        "raise RuntimeError('Expected to have finished reduction in the prior iteration')",
        "raise RuntimeError('Expected to mark a variable ready only once.')",
        "raise ValueError('parameters which did not receive grad for rank 0: 1 2')",
    ],
)
def test_what_the_program_raises_itself_is_left_alone(program: str, tmp_path: Path) -> None:
    assert not {UNUSED, TWICE} & {*explain_program(tmp_path, program).slugs}
