"""How large gradients are, and which look wrong: real models, and numbers worked out by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.events.gradient_flow import FlowRow, GradientFlow, find_gradient_flow
from inspect_autograd.events.trace import Trace
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.conformance.plain_hooks import record_by_plain_hooks
from tests.unit.hand_traces import make_trace, stats
from tests.unit.render.graphs import product

CLASSES = torch.arange(16) % 10


def flow_of(model: nn.Module, x: Tensor, **options: Any) -> GradientFlow:
    trace = record_by_plain_hooks(cross_entropy(model(x), CLASSES), model)
    return find_gradient_flow(trace, **options)


def by_name(flow: GradientFlow) -> dict[str, FlowRow]:
    return {row.name: row for row in flow.rows}


def kinds(row: FlowRow) -> list[str]:
    return [flag.kind for flag in row.flags]


def mlp(depth: int, activation: Callable[[], nn.Module], scale: float = 1.0) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [module for _ in range(depth) for module in (nn.Linear(32, 32), activation())]
    model = nn.Sequential(*layers, nn.Linear(32, 10))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(scale)
    return model


class Attention(nn.Module):
    """A block whose key bias has no influence, as the softmax is not changed by a constant."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        scores = self.query(y) @ self.key(y).transpose(1, 2) / y.shape[-1] ** 0.5
        x = x + self.out(scores.softmax(-1) @ self.value(y))
        widened = torch.nn.functional.gelu(self.widen(x))
        result: Tensor = x + self.narrow(widened)
        return result


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(500, 16)
        self.blocks = nn.Sequential(*[Attention(16) for _ in range(4)])
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.head(self.norm(self.blocks(self.embedding(tokens)).mean(1)))
        return result


def conv_net() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for _ in range(3):
        layers += [nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
        channels = 8
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))


# -- the numbers -------------------------------------------------------------------------------


def test_numbers_of_a_linear_layer_by_hand() -> None:
    weight = torch.tensor([[3.0, 0.0], [0.0, 4.0]], requires_grad=True)
    bias = torch.tensor([0.0, 0.0], requires_grad=True)
    x = torch.tensor([[1.0, 2.0]])
    loss = (x @ weight.T + bias).sum()
    # d loss / d weight = [[1, 2], [1, 2]], d loss / d bias = [1, 1].
    trace = record_by_plain_hooks(loss, {"fc.weight": weight, "fc.bias": bias})
    rows = by_name(find_gradient_flow(trace, learning_rate=0.5))
    row = rows["fc.weight"]
    assert row.l2 == pytest.approx(math.sqrt(10))
    assert row.max_abs == 2.0
    assert row.zero_share == 0.0
    assert row.numel == 4
    assert row.rms == pytest.approx(math.sqrt(10) / 2)
    assert row.parameter_l2 == pytest.approx(5.0)
    assert row.update_ratio == pytest.approx(0.5 * math.sqrt(10) / 5)
    assert row.deliveries == 1
    assert row.missing == 0
    assert str(row.meta) == "f32[2, 2]"
    # A bias of zeros has no ratio: any update is infinitely large against it.
    assert rows["fc.bias"].parameter_l2 == 0.0
    assert rows["fc.bias"].update_ratio is None
    assert rows["fc.bias"].l2 == pytest.approx(math.sqrt(2))


def test_a_module_is_its_parameters_as_one_vector() -> None:
    weight = torch.tensor([[3.0, 0.0], [0.0, 4.0]], requires_grad=True)
    bias = torch.tensor([12.0, 0.0], requires_grad=True)
    loss = (torch.tensor([[1.0, 0.0]]) @ weight.T + bias).sum()
    scale = torch.tensor(2.0, requires_grad=True)
    names = {"net.fc.weight": weight, "net.fc.bias": bias, "scale": scale}
    trace = record_by_plain_hooks(loss * scale, names)
    flow = find_gradient_flow(trace, by="module", learning_rate=0.1)
    rows = by_name(flow)
    assert {*rows} == {"net.fc", ""}
    # Gradients, times scale = 2: weight [[2, 0], [2, 0]], bias [2, 2]; of the scale 3 + 0 + 12.
    row = rows["net.fc"]
    assert sorted(row.names) == ["net.fc.bias", "net.fc.weight"]
    assert row.parameters == 2
    assert row.meta is None
    assert row.l2 == pytest.approx(4.0)
    assert row.max_abs == 2.0
    assert row.numel == 6
    assert row.zero_share == pytest.approx(2 / 6)
    assert row.parameter_l2 == pytest.approx(13.0)
    assert row.update_ratio == pytest.approx(0.1 * 4 / 13)
    assert rows[""].l2 == pytest.approx(15.0)
    assert flow.by == "module"


def test_a_tied_parameter_is_one_row_with_both_names() -> None:
    shared = torch.ones(2, 2, requires_grad=True)
    loss = (torch.ones(1, 2) @ shared @ shared).sum()
    flow = find_gradient_flow(record_by_plain_hooks(loss, {"a.w": shared, "b.w": shared}))
    assert [row.names for row in flow.rows] == [("a.w", "b.w")]
    assert "a.w = b.w" in str(flow)


def test_a_leaf_without_a_name_is_called_by_its_node() -> None:
    x = torch.ones(3, requires_grad=True)
    trace = record_by_plain_hooks((x * 2).sum())
    assert [row.name for row in find_gradient_flow(trace).rows] == ["leaf #2"]
    assert [row.name for row in find_gradient_flow(trace, by="module").rows] == ["(no name)"]


# -- healthy models ----------------------------------------------------------------------------


@pytest.mark.parametrize("learning_rate", [None, 0.05])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_an_untrained_mlp_is_healthy(
    activation: Callable[[], nn.Module], learning_rate: float | None
) -> None:
    flow = flow_of(mlp(3, activation), torch.randn(16, 32), learning_rate=learning_rate)
    assert len(flow.rows) == 8
    assert flow.flag_counts == {}


def test_an_untrained_transformer_is_healthy() -> None:
    torch.manual_seed(0)
    flow = flow_of(Transformer(), torch.randint(500, (16, 4)))
    assert flow.flag_counts == {}
    rows = by_name(flow)
    # 16 · 4 tokens look up at most 64 of 500 rows, and some of them twice.
    assert rows["embedding.weight"].note == ""
    assert rows["embedding.weight"].zero_share == pytest.approx(0.88, abs=0.02)
    # What cancels out is noise, which is said but is no alarm.
    assert "rounding noise" in rows["blocks.3.key.bias"].note
    assert "rounding noise" not in rows["blocks.3.query.bias"].note


def test_rows_that_were_not_looked_up_are_no_alarm() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.EmbeddingBag(5000, 8), nn.Linear(8, 10))
    row = by_name(flow_of(model, torch.randint(5000, (16, 4))))["0.weight"]
    assert row.zero_share is not None
    assert row.zero_share > 0.98
    assert kinds(row) == []
    assert row.note == "0 where it was not looked up"


def test_an_untrained_conv_net_is_healthy() -> None:
    torch.manual_seed(0)
    flow = flow_of(conv_net(), torch.randn(16, 3, 8, 8))
    assert flow.flag_counts == {}
    # The mean over the batch that BatchNorm subtracts takes the bias of the convolution along.
    assert "rounding noise" in by_name(flow)["3.bias"].note


@pytest.mark.parametrize("scale", [2.0**16, 2.0**-20])
def test_the_scale_of_the_loss_changes_no_flag(scale: float) -> None:
    for depth, expected in ((3, 0), (12, None)):
        model, x = mlp(depth, nn.Sigmoid), torch.randn(16, 32)
        counts = [
            find_gradient_flow(
                record_by_plain_hooks(cross_entropy(model(x), CLASSES) * factor, model)
            ).flag_counts
            for factor in (1.0, scale)
        ]
        assert counts[0] == counts[1]
        assert expected is None or counts[0] == {}
        assert expected is not None or counts[0].keys() == {"vanishing"}


# -- models that are not -----------------------------------------------------------------------


def test_fifty_sigmoids_vanish() -> None:
    flow = flow_of(mlp(50, nn.Sigmoid), torch.randn(16, 32))
    rows = by_name(flow)
    # A sigmoid has a slope of at most 1/4; with weights of norm below 1, 50 of them leave nothing.
    assert kinds(rows["20.weight"]) == ["vanishing"]
    assert kinds(rows["20.bias"]) == ["vanishing"]
    assert kinds(rows["100.weight"]) == []
    assert kinds(rows["98.weight"]) == []
    assert flow.flag_counts["vanishing"] > 70
    vanishing = [row.rms for row in flow.flagged if kinds(row) == ["vanishing"]]
    assert vanishing == sorted(vanishing, key=lambda rms: rms or 0.0), "the worst comes first"


@pytest.mark.parametrize("mean_square", [False, True])
def test_badly_scaled_weights_explode(mean_square: bool) -> None:
    model = mlp(20, nn.ReLU, scale=8.0)
    y = model(torch.randn(16, 32))
    loss = y.square().mean() if mean_square else cross_entropy(y, CLASSES)
    flow = find_gradient_flow(record_by_plain_hooks(loss, model))
    assert flow.flag_counts.keys() == {"exploding"}
    rows = by_name(flow)
    assert all(kinds(rows[f"{2 * i}.weight"]) == ["exploding"] for i in range(21))
    assert "× |parameter|" in rows["20.weight"].flags[0].text


def test_gradients_that_grow_on_their_way_explode() -> None:
    x = torch.ones(4, requires_grad=True)
    head = torch.ones(4, requires_grad=True)
    # Adding a parameter gives it the gradient of the sum: 1 for the head, 1e8 for x.
    loss = (x * 1e8 + head).sum()
    rows = by_name(find_gradient_flow(record_by_plain_hooks(loss, {"x": x, "head": head})))
    # x is among the first few, with which it is compared, so that nothing is flagged by itself.
    assert kinds(rows["x"]) == []
    near = [torch.ones(4, requires_grad=True) for _ in range(3)]
    loss = (x * 1e8 + head).sum()
    for tensor in near:
        loss = loss + tensor.sum()
    names = {"x": x, "head": head} | {f"near{i}": tensor for i, tensor in enumerate(near)}
    rows = by_name(find_gradient_flow(record_by_plain_hooks(loss, names)))
    assert kinds(rows["x"]) == ["exploding"]
    assert rows["x"].flags[0].text == "its RMS is 1.0e+08 × that near the loss"


def test_relus_that_are_never_active_are_dead() -> None:
    model = mlp(2, nn.ReLU)
    with torch.no_grad():
        model.get_parameter("2.bias").fill_(-100.0)
    flow = flow_of(model, torch.randn(16, 32))
    assert {row.name: kinds(row) for row in flow.rows if row.flags} == {
        "0.weight": ["dead"],
        "0.bias": ["dead"],
        "2.weight": ["dead"],
        "2.bias": ["dead"],
        "4.weight": ["dead"],  # It multiplies activations that are all 0.
    }


def test_units_that_are_off_for_every_sample_are_mostly_zero() -> None:
    model = mlp(1, nn.ReLU)
    with torch.no_grad():
        model.get_parameter("0.bias")[:31].fill_(-100.0)
    rows = by_name(flow_of(model, torch.randn(16, 32)))
    assert kinds(rows["0.weight"]) == ["mostly zero"]  # 31/32 is 96.9%
    assert rows["0.weight"].flags[0].text == "97% of the elements are 0"


def test_nan_is_counted_and_comes_first() -> None:
    weight = torch.tensor([0.0, 1.0, 4.0], requires_grad=True)
    dead = torch.ones(2, requires_grad=True)
    # 0 · inf, where the root of 0 has an infinite slope.
    loss = (weight.sqrt() * torch.tensor([0.0, 1.0, 1.0])).sum() + (dead * 0).sum()
    flow = find_gradient_flow(record_by_plain_hooks(loss, {"dead": dead, "weight": weight}))
    assert [row.name for row in flow.flagged] == ["weight", "dead"]
    assert flow.flagged[0].flags[0].text == "NaN in 1 of 3 elements"
    assert flow.flag_counts == {"non-finite": 1, "dead": 1}


def test_too_small_for_half_precision() -> None:
    trace = make_trace(
        product(),
        [(2, 0, [stats(2e-5, dtype="float16")], []), (3, 0, [stats(2e-4, dtype="float16")], [])],
    )
    leaves = [replace(p, meta=TensorMeta((4,), "float16")) for p in trace.parameters]
    trace = Trace(replace(trace.data, parameters=tuple(leaves)))
    rows = by_name(find_gradient_flow(trace))
    # 2^-14 = 6.1e-5 is the smallest normal float16; the RMS are 1e-5 and 1e-4.
    assert kinds(rows["w"]) == ["vanishing"]
    assert "float16" in rows["w"].flags[0].text
    assert kinds(rows["v"]) == []


def test_update_ratios_of_weights_are_judged() -> None:
    weight = torch.full((2, 2), 0.5, requires_grad=True)  # norm 1
    loss = weight.sum()  # gradient of norm 2
    trace = record_by_plain_hooks(loss, {"fc.weight": weight})
    for rate, expected in ((1.0, "update too large"), (1e-3, ""), (1e-7, "update too small")):
        (row,) = find_gradient_flow(trace, learning_rate=rate).rows
        assert row.update_ratio == pytest.approx(2 * rate)
        assert kinds(row) == ([expected] if expected else [])
    bias = torch.full((4,), 1e-6, requires_grad=True)
    (row,) = find_gradient_flow(
        record_by_plain_hooks(bias.sum(), {"fc.bias": bias}), learning_rate=1.0
    ).rows
    assert row.update_ratio == pytest.approx(1e6)
    assert kinds(row) == []  # Biases start next to nothing.


# -- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"by": "layer"}, ArgumentError, "by is 'layer'; expected 'parameter' or 'module'"),
        ({"by": 3}, ArgumentTypeError, "by is 3"),
        ({"by": ["module"]}, ArgumentTypeError, "by is"),
        ({"learning_rate": 0}, ArgumentError, "learning_rate is 0; expected a finite"),
        ({"learning_rate": -0.1}, ArgumentError, "learning_rate is -0.1"),
        ({"learning_rate": math.nan}, ArgumentError, "learning_rate is nan"),
        ({"learning_rate": math.inf}, ArgumentError, "learning_rate is inf"),
        ({"learning_rate": True}, ArgumentTypeError, "learning_rate is True of type bool"),
        ({"learning_rate": "1e-3"}, ArgumentTypeError, "of type str"),
        ({"backward_pass": 1}, ArgumentError, "backward_pass is 1; expected 0, the only pass"),
        ({"backward_pass": -1}, ArgumentError, "backward_pass is -1"),
        ({"backward_pass": True}, ArgumentTypeError, "backward_pass is True of type bool"),
        ({"backward_pass": "0"}, ArgumentTypeError, "of type str"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], text: str) -> None:
    trace = make_trace(product(), [(2, 0, [stats(1.0)], [])])
    with pytest.raises(error) as caught:
        find_gradient_flow(trace, **options)
    assert text in str(caught.value)
    assert "What to do:" in str(caught.value)


def test_a_trace_without_values_or_passes_is_refused() -> None:
    trace = make_trace(product(), [(2, 0, [stats(1.0)], [])], stats_level="meta")
    with pytest.raises(ArgumentError, match='stats="basic"'):
        find_gradient_flow(trace)
    with pytest.raises(ArgumentError, match="no backward pass"):
        find_gradient_flow(make_trace(product(), [], passes=[]))
    with pytest.raises(ArgumentTypeError, match="expected a Trace"):
        find_gradient_flow("trace.json")  # type: ignore[arg-type]


# -- conversions -------------------------------------------------------------------------------


def test_it_is_reached_from_the_trace_and_shows_itself() -> None:
    trace = make_trace(product(), [(2, 0, [stats(1.0)], [])])
    flow = trace.gradient_flow(by="parameter", learning_rate=0.1, backward_pass=0)
    assert flow == find_gradient_flow(trace, learning_rate=0.1)
    assert repr(flow) == "<GradientFlow by parameter: 2 rows, 1 flagged, pass 0>"
    assert str(flow).startswith("Gradient flow in pass 0 (backward at train.py:41): 1 of 2")


def test_to_dataframe() -> None:
    pytest.importorskip("pandas")
    trace = make_trace(product(), [(2, 0, [stats(3.0)], [])])
    frame = find_gradient_flow(trace).to_dataframe()
    assert [*frame["name"]] == ["w", "v"]
    assert frame["l2"][0] == 3.0
    assert [*frame["flags"]] == ["", "missing"]
    assert [*frame["meta"]] == ["f32[4]", "f32[4]"]
    assert {*frame.columns} == {*FlowRow.__dataclass_fields__}
