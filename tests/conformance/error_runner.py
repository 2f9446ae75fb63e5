"""Runs programs that fail, each in a process of its own, and says what `explain` makes of them.

A process that has imported everything waits for requests and forks for each of them, so that a
program costs milliseconds and none sees what another has done. To look at one case of the
catalogue, or at all that are given:

    python -m tests.conformance.error_runner twice argmax
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch

import inspect_autograd as ia
from inspect_autograd.diagnosis.report import Report

ROOT = Path(__file__).parents[2]
CATALOGUE = Path(__file__).with_name("autograd_errors.json")
TIMEOUT = 60
"""Seconds for one program; some import the compiler."""

Namespace = dict[str, Any]
Way = Literal["explain", "diagnose", "nothing"]


class Runner:
    """The waiting process, as seen from a test."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.conformance.error_runner"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(
        self,
        path: Path,
        source: str,
        *,
        way: Way = "explain",
        record: bool = False,
        is_readable: bool = True,
    ) -> dict[str, Any]:
        """What became of a program; see `observe`.

        Args:
            path: The file that the program is written to.
            source: The program; it may take torch for imported.
            way: What is asked about it.
            record: Whether `record` watches it.
            is_readable: Whether its text can be found, as that of `python -c` cannot.
        """
        path.write_text(source, encoding="utf-8")
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        print(json.dumps([str(path), way, record, is_readable]), file=stdin, flush=True)
        result: dict[str, Any] = json.loads(stdout.readline())
        assert "crashed" not in result, result["crashed"]
        return result

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def observe(file: str, way: Way, record: bool, is_readable: bool = True) -> dict[str, Any]:
    """Run a program, ask what is wrong, and go on with its tensors.

    Returns:
        exception, message: What it raised, or None.
        warnings: The texts of what it warned of.
        reports: Each with its slugs, the line of the first diagnosis, its text, and the code of its
            hints.
        seconds: The longest time that a report took.
        raised: The traceback, if asking raised.
        changed: What asking changed in the program.
        after: What the tensors of the program still do.
        kept: Which of them live on without the program, though the reports are still there.
    """
    torch.manual_seed(0)
    namespace: Namespace = {"__name__": "__main__", "__file__": file, "torch": torch}
    name = file if is_readable else "<string>"
    code = compile(Path(file).read_text(encoding="utf-8"), name, "exec")
    error, warned = run_program(code, namespace, record=record)
    result: dict[str, Any] = {
        "exception": None if error is None else full_name(type(error)),
        "message": None if error is None else str(error),
        "warnings": [str(warning) for warning in warned],
        "reports": [],
        "seconds": 0.0,
        "raised": None,
        "changed": [],
    }
    kept: list[Report] = []
    if way != "nothing":
        before = State(namespace, error)
        kept += ask_all(questions(way, namespace, warned if error is None else [error]), result)
        result["changed"] = before.differences(State(namespace, error))
    result["after"] = go_on(namespace)
    references = {name: weakref.ref(tensor) for name, tensor in tensors_of(namespace)}
    error, warned, before = None, [], None  # type: ignore[assignment]
    namespace.clear()
    gc.collect()
    result["kept"] = [name for name, reference in references.items() if reference() is not None]
    return result


def run_program(
    code: Any, namespace: Namespace, *, record: bool
) -> tuple[BaseException | None, list[BaseException]]:
    """Run it with its output thrown away; what it raised, and the warnings that it gave."""
    error: BaseException | None = None
    with warnings.catch_warnings(record=True) as caught, contextlib.ExitStack() as stack:
        warnings.simplefilter("always")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        try:
            with ia.record() if record else contextlib.nullcontext():
                exec(code, namespace)
        except BaseException as raised:
            error = raised
    if error is not None:
        # This function is none of the program's.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
    return error, [w.message for w in caught if isinstance(w.message, Warning)]


def questions(
    way: Way, namespace: Namespace, errors: list[BaseException]
) -> Iterator[Callable[[], Report]]:
    """What is asked: of the error, else of every warning, or of the leaves of the program.

    A program may say itself what `diagnose` is to be given, as `diagnosed`.
    """
    if way == "explain":
        yield from (partial(ia.explain, error) for error in errors)
    elif "diagnosed" in namespace:
        yield partial(ia.diagnose, **namespace["diagnosed"])
    else:
        leaves = {name: tensor for name, tensor in tensors_of(namespace) if tensor.is_leaf}
        yield partial(ia.diagnose, params=leaves)


def ask_all(asked: Iterable[Callable[[], Report]], result: dict[str, Any]) -> Iterator[Report]:
    """Ask, and note in the result what came of it."""
    for ask in asked:
        start = time.perf_counter()
        try:
            report = ask()
        except BaseException:
            result["raised"] = traceback.format_exc()
            return
        result["seconds"] = max(result["seconds"], time.perf_counter() - start)
        source = report.diagnoses[0].source if report.diagnoses else None
        result["reports"].append(
            {
                "slugs": [diagnosis.slug for diagnosis in report.diagnoses],
                "line": None if source is None else [source.file, source.line],
                "text": str(report),
                "codes": [hint.code for found in report.diagnoses for hint in found.hints],
            }
        )
        yield report


class State:
    """What an explanation must leave as it is."""

    def __init__(self, namespace: Namespace, error: BaseException | None) -> None:
        self.values: dict[str, Any] = {
            "names": list(namespace),
            "grad mode": torch.is_grad_enabled(),
            "inference mode": torch.is_inference_mode_enabled(),
            "filters": list(warnings.filters),
            "threads": threading.active_count(),
        }
        if error is not None:
            self.values["error"] = [repr(error), getattr(error, "__notes__", None)]
            self.values["traceback"] = id(error.__traceback__)
        for name, tensor in tensors_of(namespace):
            with contextlib.suppress(RuntimeError):  # A spoiled view has no grad_fn to show.
                self.values[name] = describe(tensor)

    def differences(self, other: State) -> list[str]:
        """What is not the same any more."""
        return [
            f"{name}: {value} became {other.values.get(name)}"
            for name, value in self.values.items()
            if other.values.get(name) != value
        ]


def describe(tensor: torch.Tensor) -> list[Any]:
    """All that can be seen of a tensor."""
    version = None if tensor.is_inference() else tensor._version
    grad = tensor.grad if tensor.is_leaf else None
    return [
        tensor.requires_grad,
        tensor.is_leaf,
        version,
        repr(tensor.detach().tolist()),
        None if grad is None else repr(grad.detach().tolist()),
        tensor._backward_hooks,
    ]


def go_on(namespace: Namespace) -> list[str]:
    """Run every graph that the program left, and one step of training on its leaves."""
    found = []
    for name, tensor in tensors_of(namespace):
        if tensor.requires_grad and not tensor.is_complex():
            try:
                tensor.sum().backward()
                found.append(f"{name}: ran")
            except Exception as error:
                found.append(f"{name}: {error}")
    leaves = [t for _, t in tensors_of(namespace) if t.requires_grad and t.is_leaf]
    leaves = [leaf for leaf in leaves if not leaf.is_meta]  # These have nothing to show.
    if leaves:
        torch.optim.SGD(leaves, lr=0.1).step()
    found += [f"{t.detach().tolist()} {t.grad}" for t in leaves]
    return found


def tensors_of(namespace: Namespace) -> list[tuple[str, torch.Tensor]]:
    """The tensors of a program, and the parameters of its modules, with their names."""
    found: dict[int, tuple[str, torch.Tensor]] = {}
    for name, value in namespace.items():
        if isinstance(value, torch.Tensor):
            found.setdefault(id(value), (name, value))
        elif isinstance(value, torch.nn.Module):
            for inner, parameter in value.named_parameters():
                found.setdefault(id(parameter), (f"{name}.{inner}", parameter))
    return list(found.values())


def full_name(cls: type) -> str:
    """As the catalogue names an exception."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"


# -- the waiting process -----------------------------------------------------------------------


def serve() -> None:
    """Answer each line of stdin with a line of stdout, from a fork."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What a program prints from C++ must not get among the answers.
    warm_up()
    assert threading.active_count() == 1, "a process with threads must not fork"
    gc.collect()
    gc.freeze()  # A collection in a fork would copy all memory.
    for line in sys.stdin:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            answer(writer, *json.loads(line))
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as stream:
            text = stream.read()
        _, status = os.waitpid(child, 0)
        print(text or json.dumps({"crashed": f"wait status {status}"}), file=answers, flush=True)


def answer(writer: int, file: str, way: Way, record: bool, is_readable: bool) -> None:
    """Write what became of a program, and end this process without any clean-up."""
    signal.alarm(TIMEOUT)
    try:
        result = observe(file, way, record, is_readable)
    except BaseException:
        result = {"crashed": traceback.format_exc()}
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(result))
    os._exit(0)


def warm_up() -> None:
    """Import what is imported on first use, torch's compiler too."""
    compiler = "torch._dynamo.backends.debugging", "torch._functorch.aot_autograd"
    for name in (*compiler, "torch.utils.checkpoint"):
        import_module(name)
    for record in (False, True):
        code = compile("x = torch.ones(3, requires_grad=True)\n(x * 2).backward()", "<>", "exec")
        error, _ = run_program(code, {"torch": torch}, record=record)
        assert error is not None
        with contextlib.suppress(Exception):  # Every case will say so.
            str(ia.explain(error))
            ia.diagnose(torch.ones(3, requires_grad=True).sum())


def show(keys: list[str]) -> Iterator[str]:
    """What is said of these cases of the catalogue."""
    cases = {case["key"]: case for case in json.loads(CATALOGUE.read_text("utf-8"))["cases"]}
    with tempfile.TemporaryDirectory() as folder:
        for key in keys:
            path = Path(folder) / f"{key}.py"
            path.write_text(cases[key]["source"], encoding="utf-8")
            result = observe(str(path), "explain", record=False)
            yield f"== {key}: {result['exception']}, expected {cases[key]['slug']}"
            for report in result.pop("reports"):
                yield f"{report['text']}\n"
            yield json.dumps(result, indent=2)


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.stdout.writelines(f"{text}\n" for text in show(sys.argv[1:]))
    else:
        serve()
