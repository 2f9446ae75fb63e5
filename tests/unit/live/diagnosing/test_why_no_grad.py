"""Every reason why a parameter has no gradient, in programs whose answer is known."""

from typing import Any

import pytest
import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentTypeError


class Model(nn.Module):
    """Has one part for each reason."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 4)
        self.unused = nn.Linear(3, 3)
        self.aside = nn.Linear(4, 2)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.head = nn.Linear(4, 2)
        self.scale = nn.Parameter(torch.ones(2)) * 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder(x).detach()
        self.aside(hidden)
        out: torch.Tensor = self.head(self.frozen(hidden))
        return out


X = torch.linspace(-1, 1, 15).reshape(5, 3)
LINE = Model.forward.__code__.co_firstlineno + 1


def reasons(why: ia.WhyNoGrad) -> dict[str, str]:
    return {row.name: row.reason for row in why.missing}


def test_every_reason_of_a_forward_pass() -> None:
    model = Model()
    with ia.record(model) as recording:
        loss = model(X).square().mean()
        loss.backward()
    why = ia.why_no_grad(loss, model, recording=recording)
    assert why.counts == {
        "cut": 2,
        "not a leaf": 1,
        "module not called": 2,
        "not in this loss": 2,
        "frozen": 2,
    }
    assert why.with_gradient == 2
    cut = why["encoder.weight"]
    assert cut.reason == "cut"
    assert cut.certainty == "certain"
    assert cut.source is not None
    assert cut.source.line == LINE
    assert f"Tensor.detach at test_why_no_grad.py:{LINE}" in cut.text
    assert why["aside.bias"].reason == "not in this loss"
    assert why["unused.bias"].text == "unused was not called in the recording"
    assert why["scale"].reason == "not a leaf"


def test_without_a_recording_the_graph_alone_tells() -> None:
    model = Model()
    loss = model(X).square().mean()
    why = ia.why_no_grad(loss, model)
    assert why.counts == {
        "not a leaf": 1,
        "not in the graph": 6,
        "backward not run": 2,
        "frozen": 2,
    }
    assert any("ia.record(model)" in note for note in why.notes)


def test_the_text_begins_with_the_counts() -> None:
    model = Model()
    loss = model(X).square().mean()
    loss.backward()
    assert str(ia.why_no_grad(loss, model)) == (
        "11 parameters: 2 have a gradient, 9 have none.\n"
        "  1 × not a leaf: it is no leaf, but the result of a computation\n"
        "  6 × not in the graph: the graph of the loss does not reach it\n"
        "  2 × frozen: it is frozen (requires_grad=False)\n"
        "\n"
        "not a leaf: made by MulBackward0; it is an attribute, not a parameter of the model\n"
        "    scale  f32[2]\n"
        "\n"
        "not in the graph: not used, or its output is not in this loss, or the path was cut on "
        "the way\n"
        "    encoder.weight  f32[4, 3]\n"
        "    encoder.bias  f32[4]\n"
        "    unused.weight  f32[3, 3]\n"
        "    unused.bias  f32[3]\n"
        "    aside.weight  f32[2, 4]\n"
        "    aside.bias  f32[2]\n"
        "\n"
        "frozen\n"
        "    frozen.weight  f32[4, 4]\n"
        "    frozen.bias  f32[4]\n"
        "\n"
        "Which of these were not used, and where a path was cut, only a recording can tell: "
        "compute the loss inside `with ia.record(model) as recording:`, and give "
        "recording=recording."
    )


class Cutting(nn.Module):
    def __init__(self, cut: Any) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4, bias=False)
        self.second = nn.Linear(1, 1)
        self.cut = cut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.second(self.cut(self.first(x)).reshape(-1, 1))
        return out


def in_no_grad(x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return x * 2


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (lambda x: x.argmax(1).float(), "argmax (not differentiable)"),
        (lambda x: x.detach(), "Tensor.detach"),
        (lambda x: x.data, "Tensor.data"),
        (lambda x: x.long().float(), "(not differentiable)"),
        (in_no_grad, "under no_grad"),
        (lambda x: torch.tensor(x.tolist()), "Tensor.tolist"),
    ],
)
def test_the_line_of_each_cut(cut: Any, said: str) -> None:
    model = Cutting(cut)
    with ia.record(model) as recording:
        loss = model(X).sum()
        loss.backward()
    (row,) = ia.why_no_grad(loss, model, recording=recording).missing
    assert (row.name, row.reason) == ("first.weight", "cut")
    assert said in row.text
    assert row.source is not None
    assert row.source.file == __file__


def test_a_cut_is_known_before_the_backward_pass() -> None:
    model = Cutting(lambda x: x.detach())
    with ia.record(model) as recording:
        loss = model(X).sum()
    why = ia.why_no_grad(loss, model, recording=recording)
    assert why.counts == {"cut": 1, "backward not run": 2}
    assert why["first.weight"].certainty == "likely"


def make_model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def test_backward_has_not_run() -> None:
    model = make_model()
    why = ia.why_no_grad(model(X).sum(), model)
    assert why.counts == {"backward not run": 4}
    assert {row.certainty for row in why.missing} == {"certain"}
    assert why.notes == ()


def test_cleared_after_backward() -> None:
    model = make_model()
    with ia.record(model) as recording:
        loss = model(X).sum()
        loss.backward()
    model.zero_grad()
    assert ia.why_no_grad(loss, model, recording=recording).counts == {"cleared": 4}
    why = ia.why_no_grad(loss, model)
    assert why.counts == {"gone": 4}
    assert "zero_grad()" in why["0.weight"].text
    assert "torch.autograd.grad" in why["0.weight"].text


def test_torch_autograd_grad_fills_no_gradient() -> None:
    model = make_model()
    with ia.record(model) as recording:
        loss = model(X).sum()
        torch.autograd.grad(loss, list(model.parameters()))
    why = ia.why_no_grad(loss, model, recording=recording)
    assert why.counts == {"not asked for": 4}
    assert "torch.autograd.grad() at test_why_no_grad.py:" in why["0.weight"].text


def test_a_pass_that_was_limited_by_its_inputs() -> None:
    model = make_model()
    with ia.record(model) as recording:
        loss = model(X).sum()
        loss.backward(inputs=[model[0].weight])
    why = ia.why_no_grad(loss, model, recording=recording)
    assert why.counts == {"not asked for": 3}
    assert "limited by inputs=" in why["2.bias"].text


class GivesNone(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> None:
        return None


def test_a_custom_function_that_returns_no_gradient() -> None:
    model = make_model()
    with ia.record(model) as recording:
        doubled = GivesNone.apply(model[0](X))  # type: ignore[no-untyped-call]
        loss = model[2](doubled).sum()
        loss.backward()
    why = ia.why_no_grad(loss, model, recording=recording)
    assert why.counts == {"nothing arrived": 2}
    assert why["0.weight"].text.endswith("its node ran but received no gradient")


def test_used_in_another_loss() -> None:
    model = nn.ModuleDict({"a": nn.Linear(3, 1), "b": nn.Linear(3, 1)})
    with ia.record(model) as recording:
        first, second = model["a"](X).sum(), model["b"](X).sum()
        first.backward()
        model.zero_grad()
        second.backward()
    why = ia.why_no_grad(second, model, recording=recording)
    assert reasons(why) == {"a.weight": "not in this loss", "a.bias": "not in this loss"}
    assert "backward() at test_why_no_grad.py:" in why["a.bias"].text


def test_a_loss_without_a_graph() -> None:
    model = make_model()
    why = ia.why_no_grad(model(X).sum().detach(), model)
    assert why.counts == {"loss without graph": 4}
    assert "detach()" in why["0.weight"].text
    assert "gradients are disabled right here" not in why["0.weight"].text


def test_gradients_of_zero_are_another_matter() -> None:
    model = make_model()
    loss = (model(X) * 0).sum()
    loss.backward()
    why = ia.why_no_grad(loss, model)
    assert why.missing == ()
    assert why.zero == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert "4 gradients are there, but exactly 0" in str(why)


def test_tensors_by_name() -> None:
    w = torch.ones(3, requires_grad=True)
    computed = w * 2
    why = ia.why_no_grad(computed.sum(), {"w": w, "computed": computed, "x": torch.ones(3)})
    assert reasons(why) == {"computed": "not a leaf", "w": "backward not run", "x": "frozen"}
    assert "MulBackward0" in why["computed"].text


def test_tied_parameters_count_once() -> None:
    model = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
    model["b"].weight = model["a"].weight
    why = ia.why_no_grad(model["b"](X).sum(), model)
    assert why["a.weight"].names == ("a.weight", "b.weight")
    assert reasons(why) == {
        "a.bias": "not in the graph",
        "a.weight": "backward not run",
        "b.bias": "backward not run",
    }


@pytest.mark.parametrize("given", ["model", "inside"])
@pytest.mark.parametrize("recorded", ["model", "inside", "nothing", "named"])
def test_names_of_a_wrapped_model(given: str, recorded: str, tmp_path: Any) -> None:
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/it", rank=0, world_size=1)
    try:
        inside = Cutting(lambda x: x.detach())
        model = nn.parallel.DistributedDataParallel(inside, find_unused_parameters=True)
        models: dict[str, list[Any]] = {
            "model": [model],
            "inside": [inside],
            "nothing": [],
            "named": [{"net": model}],
        }
        with ia.record(*models[recorded]) as recording:
            loss = model(X).sum()
            loss.backward()
        # DistributedDataParallel gives what was not used a gradient of zeros, or none.
        inside.first.weight.grad = None
        asked = model if given == "model" else inside
        why = ia.why_no_grad(loss, asked, recording=recording)
        name = "module.first.weight" if given == "model" else "first.weight"
        assert reasons(why) == {name: "cut"}
        assert any("find_unused_parameters" in note for note in why.notes) == (given == "model")
    finally:
        dist.destroy_process_group()


def test_two_recorded_models_that_are_alike() -> None:
    a, b = Cutting(lambda x: x.detach()), Cutting(lambda x: x)
    with ia.record(a, b) as recording:
        loss = (a(X) + b(X).mean()).sum()
        loss.backward()
    why = ia.why_no_grad(loss, a, recording=recording)
    assert why.counts == {"not in the graph": 1}
    assert "several models" in why.notes[0]
    both = nn.ModuleDict({"a": a, "b": b})
    with ia.record(both) as recording:
        loss = (a(X) + b(X).mean()).sum()
        loss.backward()
    assert reasons(ia.why_no_grad(loss, both, recording=recording)) == {"a.first.weight": "cut"}


def test_parameters_in_a_list_belong_to_the_module_around() -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scales = nn.ParameterList([torch.ones(3), torch.ones(3)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = x * self.scales[0]
            return out

    model = Listed()
    with ia.record(model) as recording:
        loss = model(X).sum()
        loss.backward()
    why = ia.why_no_grad(loss, model, recording=recording)
    assert reasons(why) == {"scales.1": "not in this loss"}


def test_wrong_arguments() -> None:
    with pytest.raises(ArgumentTypeError, match="loss is of type float"):
        ia.why_no_grad(1.0, nn.Linear(1, 1))
    with pytest.raises(ArgumentTypeError, match="recording is of type Linear"):
        ia.why_no_grad(torch.ones(1), nn.Linear(1, 1), recording=nn.Linear(1, 1))


def test_the_entry_of_a_parameter_that_has_a_gradient() -> None:
    model = make_model()
    loss = model(X).sum()
    loss.backward()
    why = ia.why_no_grad(loss, model)
    with pytest.raises(KeyError, match=r"0\.weight"):
        why["0.weight"]
    assert str(why) == "All 4 parameters have a gradient."
    assert repr(why) == "<WhyNoGrad: 4 have a gradient; none is without>"


def leaves(*with_gradient: bool) -> dict[str, torch.Tensor]:
    """Leaves called a, b, …; those marked True have a gradient, the others are frozen."""
    params = {}
    for name, has_gradient in zip("abc", with_gradient, strict=False):
        params[name] = torch.ones(1, requires_grad=has_gradient)
        params[name].grad = torch.ones(1) if has_gradient else None
    return params


@pytest.mark.parametrize(
    ("with_gradient", "headline", "short"),
    [
        ((), "There is no parameter.", "none has a gradient; none is without"),
        ((True,), "The only parameter has a gradient.", "1 has a gradient; none is without"),
        ((False,), "The only parameter has no gradient.", "none has a gradient; 1 frozen"),
        (
            (True, True),
            "All 2 parameters have a gradient.",
            "2 have a gradient; none is without",
        ),
        (
            (False, False),
            "None of the 2 parameters has a gradient.",
            "none has a gradient; 2 frozen",
        ),
        (
            (True, False),
            "2 parameters: 1 has a gradient, 1 has none.",
            "1 has a gradient; 1 frozen",
        ),
        (
            (True, False, True),
            "3 parameters: 2 have a gradient, 1 has none.",
            "2 have a gradient; 1 frozen",
        ),
    ],
)
def test_the_counts_are_said_in_words_that_fit(
    with_gradient: tuple[bool, ...], headline: str, short: str
) -> None:
    loss = torch.ones(1, requires_grad=True).sum()
    why = ia.why_no_grad(loss, leaves(*with_gradient))
    assert str(why).split("\n")[0] == headline
    assert repr(why) == f"<WhyNoGrad: {short}>"
