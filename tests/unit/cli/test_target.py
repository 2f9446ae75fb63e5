"""TARGET: every form of it, and every way to get it wrong."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from inspect_autograd.cli.result import UsageError
from inspect_autograd.cli.target import is_code, load_target, load_trace, refuse_options
from inspect_autograd.errors import TargetError
from inspect_autograd.events.trace import Trace
from inspect_autograd.graph.graph import Graph


def names(graph: Graph) -> list[str]:
    return [node.label for node in graph.nodes]


def load_graph(target: str, **options: int) -> Graph:
    loaded = load_target(target, **options)
    assert isinstance(loaded, Graph)
    return loaded


def mistake(target: object, **options: int) -> TargetError:
    with pytest.raises(TargetError) as caught:
        load_target(str(target), **options)
    return caught.value


# -- what can be named -----------------------------------------------------------------------------


def test_a_tensor_in_a_file(quadratic: Path) -> None:
    graph = load_graph(f"{quadratic}:y")
    assert names(graph) == ["MulBackward0", "DotBackward0", "x"]
    assert [(edge.source, edge.target) for edge in graph.edges] == [(0, 1), (1, 2), (1, 2)]


@pytest.mark.parametrize("name", ["make_loss", "make_both"])
def test_a_function_is_called_and_leaves_get_names(model: Path, name: str) -> None:
    graph = load_graph(f"{model}:{name}")
    # mse(relu(w·x + b)): the names come from the only model of the file.
    assert names(graph) == [
        "MseLossBackward0",
        "ReluBackward0",
        "AddmmBackward0",
        "0.bias",
        "TBackward0",
        "0.weight",
    ]
    assert [root.path for root in graph.roots] == [""]


def test_a_model_that_is_returned_names_the_leaves(model: Path) -> None:
    graph = load_graph(f"{model}:make_named")
    assert sorted(graph.parameters()) == ["bias", "weight"]


def test_a_name_in_a_module(
    write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(
        "in_package/part.py", "import torch\nclass Box: w = torch.ones(2, requires_grad=True)\n"
    )
    monkeypatch.chdir(path.parents[1])
    graph = load_graph("in_package.part:Box.w")
    assert names(graph) == ["AccumulateGrad"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("y.grad_fn", ["MulBackward0", "DotBackward0", "x"]),
        ("torch.autograd.graph.get_gradient_edge(y)", ["MulBackward0", "DotBackward0", "x"]),
        ("{'loss': [y, x]}", ["MulBackward0", "x", "DotBackward0"]),
        ("ia.capture(y)", ["MulBackward0", "DotBackward0", "AccumulateGrad"]),
        ("lambda: (y, x * 2)", ["MulBackward0", "MulBackward0", "DotBackward0", "x"]),
    ],
)
def test_nodes_edges_nests_and_graphs(
    write: Callable[[str, str], Path], expression: str, expected: list[str]
) -> None:
    path = write(
        "kinds.py",
        "import torch\nimport inspect_autograd as ia\n"
        "x = torch.arange(4.0, requires_grad=True)\ny = 2 * torch.dot(x, x)\n"
        f"it = {expression}\n",
    )
    assert names(load_graph(f"{path}:it")) == expected


def test_max_nodes_cuts(quadratic: Path) -> None:
    graph = load_graph(f"{quadratic}:y", max_nodes=2)
    assert len(graph) == 2
    assert graph.truncation is not None
    assert graph.truncation.cut_edges == 2


def test_files_hold_a_graph_or_a_trace(graph_file: Path, trace_file: Path, log_file: Path) -> None:
    assert names(load_graph(str(graph_file))) == ["MulBackward0", "DotBackward0", "x"]
    for path in (trace_file, log_file):
        assert isinstance(load_target(str(path)), Trace)
        assert len(load_trace(str(path))) == 3


def test_a_file_whose_name_holds_a_colon(trace_file: Path) -> None:
    path = trace_file.rename(trace_file.with_name("at 12:30.json"))
    assert not is_code(str(path))
    assert len(load_trace(str(path))) == 3
    assert is_code(f"{path}:loss")


# -- mistakes --------------------------------------------------------------------------------------


def test_a_file_without_a_name(quadratic: Path) -> None:
    for target in (quadratic, f"{quadratic}:"):
        error = mistake(target)
        assert "does not say what in it to look at" in error.message
        assert error.remedy == f"Write {quadratic}:NAME, where NAME may be one of: y, x."


def test_a_file_without_a_name_is_not_run_to_find_some(write: Callable[[str, str], Path]) -> None:
    path = write("trains.py", "raise RuntimeError('ran')\ndef f(): pass\ndef g(a): pass\n")
    assert mistake(path).remedy.endswith("one of: f.")


def test_a_file_that_is_missing(quadratic: Path) -> None:
    error = mistake(quadratic.with_name("quadratc.py:y"))
    assert error.message == f"there is no file {quadratic.with_name('quadratc.py')}"
    assert error.remedy == "Did you mean quadratic.py?"
    assert mistake(quadratic.with_suffix("")).remedy == "Did you mean quadratic.py?"
    assert mistake("no_such.py").message == "there is no file no_such.py"
    assert mistake("no_such.json").message == "there is no file no_such.json"
    assert mistake("no_such_folder/g.json").message == "there is no folder no_such_folder"


def test_a_folder(tmp_path: Path) -> None:
    assert mistake(tmp_path).message == f"{tmp_path} is a folder"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("loss", "there is no file loss, and no name in Python code"),
        (":loss", "':loss' names no file or module before the colon"),
        ("pkg.mod:", "'pkg.mod:' does not say what in pkg.mod to look at"),
        ("pkg:a b", "'a b' is not a name in Python"),
        ("pkg:a..b", "'a..b' is not a name in Python"),
        ("no_such_module.sub:x", "there is no module 'no_such_module' to import"),
        ("json.no_such_part:x", "there is no module 'json.no_such_part' to import"),
    ],
)
def test_what_names_nothing(target: str, message: str) -> None:
    assert mistake(target).message == message


def test_parentheses(model: Path) -> None:
    assert f"Write {model}:make_loss:" in mistake(f"{model}:make_loss()").remedy


def test_max_nodes_of_a_saved_graph(tmp_path: Path) -> None:
    (tmp_path / "g.json").write_text("{}")
    assert "captured before" in mistake(tmp_path / "g.json", max_nodes=3).message


def test_a_tensor_without_a_graph(write: Callable[[str, str], Path]) -> None:
    path = write("plain.py", "import torch\ny = torch.ones(2)\nz = 'text'\n")
    error = mistake(f"{path}:y")
    assert error.message.startswith(f"{path}:y, f32[2], carries no autograd graph: ")
    assert mistake(f"{path}:z").message.startswith(f"{path}:z is of type str and holds no tensor")


INPUTS = "        inputs = torch.randn(8, 3)  # put here what the model takes\n"


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        (
            "model",
            "is a model (Sequential)",
            f"{INPUTS}        return model(inputs).sum(), model",
        ),
        (
            "make_model",
            "returned a model (Sequential)",
            f"        model = make_model()\n{INPUTS}        return model(inputs).sum(), model",
        ),
        ("Net", "is a class of models", "        model = Net(width)\n"),
        (
            "needs",
            "needs the arguments batch, scale",
            "        return needs(batch, scale)  # with values for the arguments",
        ),
        ("forgets", "was called and returned None", "`return loss`"),
    ],
)
def test_what_has_no_graph_comes_with_code_to_paste(
    model: Path, name: str, message: str, code: str
) -> None:
    error = mistake(f"{model}:{name}")
    assert message in error.message
    assert code in error.remedy


def test_code_to_paste_works(model: Path, write: Callable[[str, str], Path]) -> None:
    pasted = mistake(f"{model}:model").remedy.partition("\n\n")[2]
    lines = [line.removeprefix("    ") for line in pasted.splitlines()]
    path = write(
        "pasted.py", model.read_text() + "\n".join(lines).replace("loss():", "it():") + "\n"
    )
    assert sorted(load_graph(f"{path}:make_it").parameters()) == ["0.bias", "0.weight"]


def test_code_to_paste_for_a_module_works(write: Callable[[str, str], Path]) -> None:
    remedy = mistake("torch.nn:Identity").remedy
    assert "make_loss.py:make_loss" in remedy
    pasted = remedy.partition("\n\n")[2]
    lines = [line.removeprefix("    ") for line in pasted.splitlines()]
    path = write(
        "other.py",
        "\n".join(lines).replace(
            "inputs = torch.randn(8, 3)", "inputs = torch.ones(2, requires_grad=True)"
        ),
    )
    assert names(load_graph(f"{path}:make_loss")) == ["SumBackward0", "AccumulateGrad"]


def test_a_name_that_is_missing(model: Path) -> None:
    error = mistake(f"{model}:make_los")
    assert error.message == f"there is no 'make_los' in {model}"
    assert error.remedy.startswith("Did you mean make_loss or ")
    # Tensors with a graph, and functions of this file that need no arguments.
    assert "What can be named there: forgets, make_both, make_loss, make_model, make_named. " in (
        error.remedy
    )
    assert mistake(f"{model}:model.weigt").message == (
        "there is no 'weigt' in an object of type Sequential"
    )


# -- traces ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trace", "make_trace"])
def test_a_trace_in_code(write: Callable[[str, str], Path], name: str) -> None:
    path = write(
        "traces.py",
        "import torch\nimport inspect_autograd as ia\n"
        "x = torch.ones(2, requires_grad=True)\ny = x.sum()\n"
        "with ia.trace(y) as trace:\n    y.backward()\n"
        "def make_trace(): return trace\n",
    )
    error = mistake(f"{path}:{name}")
    assert error.message == f"{path}:{name} is a Trace, and traces are read from files only"
    assert 'trace.save("trace.json")' in error.remedy


def test_a_misspelt_log(log_file: Path) -> None:
    error = mistake(log_file.with_name("trace.jsonk"))
    assert "trace.jsonl" in error.remedy
    assert mistake("no_such.jsonl").message == "there is no file no_such.jsonl"


def test_options_are_refused_for_what_they_say() -> None:
    remedies = {"--saved": "Do this.", "--learning-rate": "Do that."}
    plain = Namespace(target="g.json", saved=False, learning_rate=None)
    refuse_options(plain, remedies, "graph")
    for given, name, remedy in (
        ({"saved": True}, "--saved", "Do this."),
        ({"learning_rate": 0}, "--learning-rate", "Do that."),
    ):
        for target, kind, message in (
            ("g.json", "graph", f"{name} is for a trace, but g.json is a graph"),
            ("t.json", "trace", f"{name} is for a graph, but t.json is a trace"),
            ("m.py:y", "graph", f"{name} is for a trace, but m.py:y makes a graph"),
        ):
            options = Namespace(**(vars(plain) | given | {"target": target}))
            with pytest.raises(UsageError) as caught:
                refuse_options(options, remedies, kind)
            assert (caught.value.message, caught.value.remedy) == (message, remedy)
