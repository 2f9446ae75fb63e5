"""What `inspect-autograd run` says when the script is over."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from ..events.gradient_flow import find_gradient_flow
from ..events.trace import Trace
from ..graph.saved_memory import find_saved_memory
from ..graph.tensor_meta import format_bytes
from ..render.escape import shorten, visible
from .run_files import RECORDING
from .run_plan import Finding
from .run_steps import DEFAULT_STEPS

if TYPE_CHECKING:
    from .run_session import Session

__all__ = ["summarize"]

SHOWN = 4
WIDEST_NAME = 60
INDENT = "  "
LABEL = 18


def summarize(session: Session, error: BaseException | None) -> str:
    """The summary as lines of text."""
    lines = [f"inspect-autograd: {_headline(session)}"]
    lines += [f"{INDENT}{label:<{LABEL}}{text}".rstrip() for label, text in _facts(session, error)]
    return "\n".join(visible(line) for line in lines)


def _headline(session: Session) -> str:
    plan, seconds = session.plan, f"{session.seconds:.1f} s"
    name = visible(str(session.program))
    if session.has_torch and session.recording is None:
        return f"{name} could not be recorded ({seconds})"
    if session.recording is None:
        return f"{name} did not import torch, so nothing was recorded ({seconds})"
    if not plan.passes:
        return f"{name} ran no backward pass, so nothing was kept ({seconds})"
    passes = _count(plan.passes, "backward pass", "backward passes")
    return f"{name}: {passes} in {_count(plan.steps, 'step')}, {seconds}"


def _facts(session: Session, error: BaseException | None) -> Iterator[tuple[str, str]]:
    plan = session.plan
    if error is not None:
        yield "ended with", type(error).__name__
    if plan.passes:
        yield "steps kept", _steps(session)
    latest = plan.latest
    if latest is not None and latest.traces:
        trace = latest.traces[-1]
        yield from _of_trace(trace, f"step {latest.index}", has_values=plan.has_values)
    if plan.first_finding is not None:
        yield from _of_finding(plan.first_finding, plan.bad_steps)
    elif plan.has_values and plan.kept:
        yield "not finite", "nothing, in the steps that were kept"
    if session.recording is not None:
        yield from _of_effects(session)
        notes = (*session.recording.notes, *_processes())
        yield from (("note", note) for note in notes)
    yield from _of_files(session)


def _steps(session: Session) -> str:
    plan = session.plan
    kept = ", ".join(_ranges(sorted(plan.kept))) or "none"
    text = f"{kept}; the last one was step {plan.last_step}"
    if plan.last_step not in plan.kept:
        text += f" (--steps -1: keeps the last one, the default is {DEFAULT_STEPS})"
    return text


def _ranges(numbers: list[int]) -> Iterator[str]:
    """Numbers with runs joined; the ends of many."""
    runs: list[list[int]] = []
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        runs.append([run[0], run[-1]])
    texts = [str(a) if a == b else f"{a}–{b}" for a, b in runs]
    if len(texts) > 2 * SHOWN:
        texts[SHOWN:-SHOWN] = ["…"]
    yield from texts


def _of_trace(trace: Trace, where: str, *, has_values: bool) -> Iterator[tuple[str, str]]:
    graph, outcome = trace.graph, trace.outcome
    nodes = f"{len(graph)} in the last pass of {where}, {len(trace)} ran"
    if outcome.status == "raised":
        said = ": ".join(part for part in (outcome.error, outcome.message) if part)
        node = outcome.node
        place = "" if node is None else f" in #{node} {graph.nodes[node].label}"
        nodes += f"; it raised {said}{place}"
    yield "nodes", nodes
    memory = find_saved_memory(graph, by="scope")
    rows = [(row.name, format_bytes(row.activation_bytes)) for row in memory.rows]
    yield "kept for backward", _top(format_bytes(memory.activation_bytes), rows)
    if has_values:
        flow = find_gradient_flow(trace, by="module")
        norms = [(row.name, row.l2) for row in flow.rows if row.l2 is not None]
        norms.sort(key=lambda pair: -pair[1])
        if norms:
            yield "gradient norms", _top("", [(name, f"{norm:.3g}") for name, norm in norms])
        if flow.flag_counts:
            yield "looks wrong", ", ".join(f"{n} {kind}" for kind, n in flow.flag_counts.items())


def _top(total: str, rows: list[tuple[str, str]]) -> str:
    text = ", ".join(f"{_short(name)} {value}" for name, value in rows[:SHOWN])
    more = f", and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return f"{total}: {text}{more}" if total and text else f"{total}{text}{more}"


def _short(name: str) -> str:
    return shorten(visible(name or "the model"), WIDEST_NAME)


def _of_finding(finding: Finding, bad: list[int]) -> Iterator[tuple[str, str]]:
    report = finding.report
    yield "NOT FINITE", f"first in step {finding.step}: {report.headline}"
    if report.explanation:
        yield "", report.explanation
    if report.fix:
        yield "", report.fix
    if len(bad) > 1:
        yield "", f"also in {_count(len(bad) - 1, 'other step')} of those that were kept"


def _of_effects(session: Session) -> Iterator[tuple[str, str]]:
    assert session.recording is not None
    lost = [cut for cut in session.recording.cuts if cut.lost]
    for cut in lost[:SHOWN]:
        yield "cut", str(cut)
    if len(lost) > SHOWN:
        yield "", f"and {len(lost) - SHOWN} more cuts that cost parameters their path"


def _processes() -> Iterator[str]:
    """Whether there were other processes, which nobody watched."""
    import sys

    module = sys.modules.get("multiprocessing.process")
    # The number of the next one that this process starts; there is no public way to ask.
    started = str(getattr(module, "_process_counter", "count(1)")).strip("count()")
    if started.isdigit() and int(started) > 1:
        yield (
            f"{_count(int(started) - 1, 'worker process', 'worker processes')} "
            f"of the script {'was' if started == '2' else 'were'} not recorded"
        )


def _of_files(session: Session) -> Iterator[tuple[str, str]]:
    folder = session.folder
    traces = [name for name in folder.files if name.startswith("step") and name.endswith(".json")]
    if not traces:
        return
    shown = folder.shown
    others = _count(len(folder.files) - len(traces), "other file")
    yield "files", f"{_count(len(traces), 'trace')} and {others} in {shown}"
    last = shlex.quote(str(shown / sorted(traces)[-1]))
    if RECORDING in folder.files:
        whole = shlex.quote(str(shown / RECORDING))
        yield "look further", f"inspect-autograd show {whole}"
    yield "" if RECORDING in folder.files else "look further", f"inspect-autograd show {last}"
    if session.plan.has_values:
        yield "", f"inspect-autograd show {last} --flow module"
    yield "", f"inspect-autograd render {last} -o flow.svg"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
