"""A checkpoint that computed something else the second time, or is used wrongly."""

from pathlib import Path
from textwrap import dedent

import pytest

from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.rules.checkpoint import CHECKPOINT
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "checkpoint"
START = """\
import random
import torch.utils.checkpoint as cp
x = torch.randn(3, requires_grad=True)
"""


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.line == (None if key == "checkpoint_warn" else 4)


@pytest.mark.parametrize(
    ("function", "call", "said"),
    [
        (
            """
            calls = 0
            def block(x):
                global calls
                calls += 1  # guilty
                return x.sin() if calls == 2 else x.sin().cos()
            """,
            "block",
            (
                "block ran again during backward and saved 1 tensor instead of 2: it changes "
                "calls, "
                "which outlives the call."
            ),
        ),
        (
            """
            cache = []
            def block(x):
                cache.append(x.detach())  # guilty
                return x.sin() if len(cache) == 2 else x.sin().cos()
            """,
            "block",
            (
                "block ran again during backward and saved 1 tensor instead of 2: cache.append() "
                "changes what outlives the call."
            ),
        ),
        (
            """
            draws = iter([0.1, 0.9])
            def block(x):
                p = next(draws)  # guilty
                return x.sin() if p > 0.5 else x.sin().cos()
            """,
            "block",
            (
                "block ran again during backward and saved 1 tensor instead of 2: next(draws) "
                "takes "
                "another item in every run."
            ),
        ),
        (
            """
            random.seed(3)
            def block(x):
                if random.random() < 0.5:  # guilty
                    return x.sin().cos()
                return x.sin()
            """,
            "block",
            (
                "block ran again during backward and saved 1 tensor instead of 2: "
                "random.random() gives another value in every run."
            ),
        ),
        (
            """
            class Block(torch.nn.Module):
                steps = 0

                def forward(self, x):
                    self.steps = self.steps + 1  # guilty
                    return (x if self.steps == 1 else x[:2]).sin()
            block = Block()
            """,
            "block",
            (
                "Block.forward ran again during backward and gave a tensor of shape [2] instead of "
                "[3]: it changes self.steps, which outlives the call."
            ),
        ),
        (
            """
            class Inner(torch.nn.Module):
                steps = 0

                def forward(self, x):
                    self.steps += 1  # guilty
                    return (x if self.steps == 1 else x[:2]).sin()
            block = torch.nn.Sequential(torch.nn.Tanh(), Inner())
            """,
            "block",
            (
                "Inner.forward ran again during backward and gave a tensor of shape [2] instead of "
                "[3]: it changes self.steps, which outlives the call."
            ),
        ),
        (
            """
            n = [0]
            def inner(x):
                n[0] += 1  # guilty
                return (x if n[0] == 1 else x.double()).sin()
            """,
            "lambda x: inner(x)",
            (
                "<lambda> ran again during backward and gave a tensor of dtype float64 instead of "
                "float32: it changes n[0], which outlives the call."
            ),
        ),
    ],
)
def test_side_effects(function: str, call: str, said: str, tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        START
        + dedent(function)
        + f"cp.checkpoint({call}, x, use_reentrant=False).sum().backward()",
    )
    assert explained.slugs == [SLUG]
    assert explained.first.summary == said
    assert explained.first.certainty == "likely"
    assert explained.line == explained.guilty


def test_the_mode_alone_is_only_possible_to_be_blamed(tmp_path: Path) -> None:
    program = """
    class Block(torch.nn.Module):
        def forward(self, x):
            return x.sin().cos() if self.training else x.sin()
    block = Block()
    y = cp.checkpoint(block, x, use_reentrant=False).sum()
    block.eval()
    y.backward()
    """
    explained = explain_program(tmp_path, START + dedent(program))
    assert explained.slugs == [SLUG]
    assert explained.has("Block.forward: it depends on self.training")
    assert explained.first.hints[0].text.startswith("Change nothing between forward and backward")


def test_without_a_suspect_it_is_only_possible(tmp_path: Path) -> None:
    program = """
    class Flag:
        up = True
    def block(x):
        return x.sin().cos() if Flag.up else x.sin()
    y = cp.checkpoint(block, x, use_reentrant=False).sum()
    Flag.up = False
    y.backward()
    """
    explained = explain_program(tmp_path, START + dedent(program))
    assert explained.first.certainty == "possible"
    assert explained.first.summary == (
        "block ran again during backward and saved 1 tensor instead of 2."
    )
    assert explained.line is None


@pytest.mark.parametrize(
    ("program", "start"),
    [
        (
            "cp.checkpoint(torch.sin, x)",
            "checkpoint() was called without use_reentrant",
        ),
        (
            "y = cp.checkpoint(torch.sin, x, use_reentrant=True).sum()\ntorch.autograd.grad(y, x)",
            "A reentrant checkpoint was asked for the gradients of some inputs only.",
        ),
        (
            "cp.checkpoint(torch.sin, torch.ones(3), use_reentrant=True)",
            "None of the inputs of a reentrant checkpoint requires a gradient",
        ),
    ],
)
def test_wrong_use(program: str, start: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, START + program)
    assert explained.slugs == [SLUG]
    assert explained.first.summary.startswith(start)


@pytest.mark.parametrize(
    "program",
    [
        (
            "raise RuntimeError('A different number of tensors was saved during the original '"
            " 'forward and recomputation.')"
        ),
        "raise ValueError('no checkpoint found: the use_reentrant parameter')",
        START + "def f(x):\n    return x @ torch.ones(9)\ncp.checkpoint(f, x, use_reentrant=False)",
    ],
)
def test_other_failures_are_left_alone(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, program).slugs


@pytest.mark.parametrize(
    "message",
    [
        "Checkpointing is not compatible with .grad() or when an `inputs` parameter is passed to",
        "none of output has requires_grad=True, this checkpoint() is not necessary",
        (
            "torch.utils.checkpoint: trying to save more tensors during recomputation than during "
            "the "
            "original forward pass."
        ),
        (
            "torch.utils.checkpoint: Unpack is being triggered for a tensor that was already "
            "unpacked "
            "once."
        ),
    ],
)
def test_the_text_alone(message: str) -> None:
    assert CHECKPOINT.diagnose(Scene(Failure("RuntimeError", message))) is not None


def test_golden(tmp_path: Path) -> None:
    function = (
        "n = [0]\ndef block(x):\n    n[0] += 1\n    return x.sin() if n[0] > 1 else x.exp().sin()\n"
    )
    explained = explain_program(
        tmp_path,
        START + function + "cp.checkpoint(block, x, use_reentrant=False).sum().backward()\n",
    )
    assert told(explained.first) == dedent("""\
        block ran again during backward and saved 1 tensor instead of 2: it changes
        n[0], which outlives the call.

        A checkpoint keeps no intermediate results. It runs the function a second time
        during backward, and both runs must save the same tensors in the same order.

        - block: it changes n[0], which outlives the call @6
        - block was checkpointed @5
        * Change nothing in the function that outlives the call (counters, caches,
        lists); decide outside, and hand the decision in.
              checkpoint(block, x, is_first, use_reentrant=False)
        * Draw random numbers with torch, whose state is restored for the second run,
        and not with random or NumPy; or draw them outside and hand them in.
              noise = torch.rand_like(x)
              checkpoint(block, x, noise, use_reentrant=False)
        * Change nothing between forward and backward that the function depends on:
        train() and eval(), autocast, global flags.
        * To see which operation differs:
              with torch.utils.checkpoint.set_checkpoint_debug_enabled(True):
                  ...
        (likely, line 6)
        """)
