"""Programs with one known fault each, and what is said of it."""

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.diagnosis.records import Diagnosis
from inspect_autograd.errors import ArgumentError, ArgumentTypeError


def slugs(*args: Any, **kwargs: Any) -> list[str]:
    return [diagnosis.slug for diagnosis in ia.diagnose(*args, **kwargs).diagnoses]


def only(*args: Any, **kwargs: Any) -> Diagnosis:
    """The one diagnosis that there is."""
    (found,) = ia.diagnose(*args, **kwargs).diagnoses
    return found


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


X = torch.linspace(-1, 1, 15).reshape(5, 3)


# -- backward would fail ---------------------------------------------------------------------------


def test_a_loss_of_several_numbers() -> None:
    found = only(make_model()(X))
    assert found.slug == "non-scalar-output"
    assert "f32[5, 2]" in found.summary
    assert "nothing has failed yet" in found.evidence[-1].text


def test_the_loss_is_called_by_the_name_of_the_variable() -> None:
    outputs = make_model()(X)
    assert "outputs" in ia.diagnose(outputs).diagnoses[0].summary


def test_a_loss_without_a_graph() -> None:
    assert slugs(make_model()(X).sum().detach()) == ["no-graph"]


def test_one_of_two_losses_without_a_graph() -> None:
    loss = make_model()(X).sum()
    assert slugs([loss, loss.detach()]) == ["no-graph"]


def test_a_saved_tensor_that_was_written() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.sigmoid()
    loss = (y * y).sum()
    y.data = y.data  # which does not count as a write
    assert slugs(loss) == []
    y.detach().add_(1)
    found = only(loss)
    assert found.slug == "saved-tensor-modified"
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as error:
        loss.backward()
    assert str(error.value) in found.evidence[-1].text


def test_a_trunk_that_another_loss_has_freed() -> None:
    trunk = make_model()(X).tanh()
    first, second = trunk.square().sum(), trunk.exp().sum()
    assert slugs(second) == []
    first.backward()
    found = only(second)
    assert found.slug == "graph-freed"
    with pytest.raises(RuntimeError, match="a second time") as error:
        second.backward()
    # Nothing but the wording of the version, which ends with a full stop or not.
    assert str(error.value)[:60] in found.evidence[-1].text


def test_a_loss_that_has_been_gone_back_from_is_no_fault() -> None:
    model = make_model()
    loss = model(X).square().mean()
    loss.backward()
    report = ia.diagnose(loss, model)
    assert report.diagnoses == ()
    assert "a backward pass has been over the graph" in report.facts[0].text


# -- parameters and the loss -----------------------------------------------------------------------


def test_parameters_without_a_path_to_the_loss() -> None:
    model = make_model()
    found = only(model[2](torch.ones(4)).sum(), model, torch.optim.SGD(model.parameters()))
    assert found.slug == "parameter-unreached"
    assert found.summary == (
        "2 of 4 trainable parameters that the optimizer holds have no path to the loss: "
        "0 (2 parameters)."
    )


def test_of_parameters_of_another_optimizer_nothing_is_said() -> None:
    model = make_model()
    loss = model[2](torch.ones(4)).sum()
    assert slugs(loss, model, torch.optim.SGD(model[2].parameters())) == []


def test_what_a_reentrant_checkpoint_hides_is_not_judged() -> None:
    from torch.utils.checkpoint import checkpoint

    model = make_model()
    x = X.clone().requires_grad_()
    loss = checkpoint(model, x, use_reentrant=True).sum()
    report = ia.diagnose(loss, model)
    assert report.diagnoses == ()
    assert any("reentrant checkpoint" in fact.text for fact in report.facts)


def test_without_a_loss_gradients_that_are_missing_count() -> None:
    model = make_model()
    assert slugs(model=model) == []
    model[2](torch.ones(4)).sum().backward()
    found = only(model=model)
    assert found.slug == "parameter-without-gradient"
    assert "2 of 4" in found.summary
    assert "0 (2 parameters)" in found.summary


# -- the optimizer ---------------------------------------------------------------------------------


def test_parameters_that_the_optimizer_does_not_hold() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model[0].parameters())
    found = only(model(X).sum(), model, optimizer)
    assert found.slug == "parameter-not-in-optimizer"
    assert "2 of 4 trainable parameters are not held by the optimizer (SGD)" in found.summary


def test_two_optimizers_together_hold_all() -> None:
    model = make_model()
    optimizers = [torch.optim.SGD(model[0].parameters()), torch.optim.SGD(model[2].parameters())]
    assert slugs(model(X).sum(), model, optimizers) == []
    assert slugs(model(X).sum(), model, dict(enumerate(optimizers))) == []


def test_an_optimizer_of_a_model_that_was_made_anew() -> None:
    optimizer = torch.optim.Adam(make_model().parameters())
    found = only(model=make_model(), optimizer=optimizer)
    assert found.slug == "optimizer-stale"
    assert found.certainty == "certain"
    assert "holds 4 tensors that the model does not have" in found.summary


def test_a_head_that_was_replaced_after_the_optimizer_was_made() -> None:
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters())
    model[2] = nn.Linear(4, 7)
    found = only(model(X).sum(), model, optimizer)
    assert found.slug == "optimizer-stale"
    assert found.certainty == "likely"
    assert "2 (2 parameters)" in found.summary


def test_an_optimizer_with_tensors_of_another_model_besides() -> None:
    model, other = make_model(), nn.Linear(2, 1)
    optimizer = torch.optim.SGD([*model.parameters(), *other.parameters()])
    assert slugs(other(model(X)).sum(), model, optimizer) == []


# -- what only looks like a parameter --------------------------------------------------------------


class Holder(nn.Module):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.real = nn.Linear(3, 3)
        self.thing = value


@pytest.mark.parametrize(
    ("value", "slug", "certainty"),
    [
        (nn.Parameter(torch.ones(3)) * 2, "parameter-not-a-leaf", "certain"),
        (torch.ones(3, requires_grad=True).double(), "parameter-not-a-leaf", "likely"),
        (torch.ones(3, requires_grad=True), "parameter-unregistered", "certain"),
        ([nn.Parameter(torch.ones(3))], "parameter-unregistered", "certain"),
        ({"a": nn.Linear(2, 2)}, "parameter-unregistered", "likely"),
    ],
)
def test_what_is_not_registered(value: Any, slug: str, certainty: str) -> None:
    found = only(model=Holder(value))
    assert (found.slug, found.certainty) == (slug, certainty)
    assert "thing" in found.summary


def test_what_the_optimizer_holds_all_the_same_is_fine() -> None:
    model = Holder([nn.Linear(2, 2)])
    optimizer = torch.optim.SGD([*model.parameters(), *model.thing[0].parameters()])
    assert slugs(model=model, optimizer=optimizer) == []


def test_what_a_forward_pass_leaves_behind_is_fine() -> None:
    model = Holder(None)
    model.thing = model.real(X)  # computed from parameters of the model
    assert slugs(model=model) == []
    image = torch.ones(5, 3, requires_grad=True)
    model.thing = nn.functional.mse_loss(nn.functional.linear(image, torch.ones(3, 3)).tanh(), X)
    assert slugs(model=model) == []


def test_a_frozen_teacher_in_a_list_is_fine() -> None:
    assert slugs(model=Holder([nn.Linear(2, 2).requires_grad_(False)])) == []


def test_a_named_tensor_that_is_no_leaf() -> None:
    found = only(params={"w": torch.ones(3, requires_grad=True) * 2})
    assert found.slug == "parameter-not-a-leaf"
    assert "w is no leaf" in found.summary


# -- frozen ----------------------------------------------------------------------------------------


def layers(count: int) -> nn.ModuleList:
    return nn.ModuleList(
        nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)) for _ in range(count)
    )


def test_one_frozen_tensor_in_a_layer_that_is_trained() -> None:
    model = layers(4)
    model[1][0].bias.requires_grad_(False)  # type: ignore[index]
    found = only(model=model, optimizer=torch.optim.SGD(model.parameters()))
    assert found.slug == "parameter-frozen"
    assert found.summary == (
        "1 parameter is frozen among 15 trainable ones, though the optimizer holds it: 1.0.bias."
    )
    assert found.evidence[0].text == "1.0.bias: 7 parameters of this role (*.*.bias) are trainable"


def test_frozen_first_layers_are_fine() -> None:
    model = layers(8)
    model[0].requires_grad_(False)
    model[1].requires_grad_(False)
    assert slugs(model=model, optimizer=torch.optim.SGD(model.parameters())) == []


def test_what_is_frozen_and_left_out_of_the_optimizer_is_meant_to_be() -> None:
    model = layers(4)
    model[1][0].bias.requires_grad_(False)  # type: ignore[index]
    trained = [p for p in model.parameters() if p.requires_grad]
    assert slugs(model=model, optimizer=torch.optim.SGD(trained)) == []


def test_in_evaluation_mode_nothing_is_said_of_it() -> None:
    model = layers(4)
    model[1][0].bias.requires_grad_(False)  # type: ignore[index]
    assert slugs(model=model.eval()) == []


# -- types, devices, values ------------------------------------------------------------------------


def test_float16_parameters() -> None:
    found = only(model=nn.Linear(2, 2).half())
    assert found.slug == "parameter-float16"
    assert slugs(model=nn.Linear(2, 2).half().eval()) == []
    assert slugs(model=nn.Linear(2, 2).bfloat16()) == []


def test_double_among_float() -> None:
    model = layers(2)
    model[0][0].weight = nn.Parameter(torch.ones(2, 2).double())  # type: ignore[index]
    found = only(model=model)
    assert found.slug == "double-among-float"
    assert "1 parameter is float64 among 7 narrower ones: 0.0.weight" in found.summary
    assert slugs(model=layers(2).double()) == []


def test_a_parameter_without_memory() -> None:
    model = layers(2)
    model[0][0].to(device="meta")  # type: ignore[index]
    found = only(model=model)
    assert (found.slug, found.certainty) == ("parameter-device", "certain")
    assert "0.0 (2 parameters)" in found.summary
    assert slugs(model=layers(2).to(device="meta")) == []


def test_a_weight_of_whole_numbers() -> None:
    model = Holder(None)
    model.register_buffer("weight", torch.arange(3))
    model.register_buffer("steps", torch.arange(3))
    found = only(model=model)
    assert (found.slug, found.certainty) == ("integer-weight", "possible")
    assert found.evidence[0].text == "weight: i64[3]"
    assert len(found.evidence) == 1


@pytest.mark.parametrize(("value", "what"), [(float("nan"), "NaN"), (float("inf"), "Inf")])
def test_values_that_are_not_finite(value: float, what: str) -> None:
    model = make_model()
    model[0].get_parameter("bias").data[1] = value
    found = only(model=model)
    assert found.slug == "non-finite-parameter"
    assert found.evidence[0].text == f"0.bias holds {what}"


def test_gradients_that_are_not_finite() -> None:
    model = make_model()
    (model(X).sum() * float("inf")).backward()
    model[2].bias.grad = torch.tensor([float("nan"), float("-inf")])
    assert "2.bias.grad holds NaN and Inf" in [e.text for e in only(model=model).evidence]
    assert slugs(model=model)[0] == "non-finite-gradient"


def test_a_norm_that_overflows_is_not_taken_for_a_value_that_does() -> None:
    model = nn.Linear(2, 2)
    model.weight.grad = torch.full((2, 2), 1e30)
    model.bias.grad = torch.full((2,), 1e-30)
    assert slugs(model=model) == []


# -- altogether ------------------------------------------------------------------------------------


def test_tied_parameters_are_said_and_fine() -> None:
    model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    model["b"].weight = model["a"].weight
    report = ia.diagnose(model=model)
    assert report.diagnoses == ()
    assert report.facts[0].text.startswith("a.weight and b.weight are one tensor (tied)")


def test_nothing_of_the_program_changes() -> None:
    calls = []
    model = make_model()
    model.register_forward_hook(lambda *_: calls.append("forward"))
    loss = model(X).square().mean()
    loss.register_hook(lambda _: calls.append("backward"))
    versions = [p._version for p in model.parameters()]
    ia.diagnose(loss, model, torch.optim.Adam(model.parameters()))
    assert calls == ["forward"]
    assert [p._version for p in model.parameters()] == versions
    assert all(p.grad is None for p in model.parameters())


def test_nothing_is_kept_alive() -> None:
    model = make_model()
    loss = model(X).square().mean()
    gone = weakref.ref(model[0].weight)
    gc.disable()
    try:
        report = ia.diagnose(loss, model)
        del model, loss
        assert gone() is None
    finally:
        gc.enable()
    assert report.diagnoses == ()


class Odd(nn.Linear):
    """Runs code of its own for whatever is asked of it."""

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("code of the user's was run")

    parameters = modules = named_modules = children = named_children = named_parameters


def test_no_code_of_the_model_is_run() -> None:
    model = nn.Sequential(Odd(2, 2))
    weight = next(tensor for tensor in vars(model[0])["_parameters"].values())
    assert slugs(nn.functional.linear(X[:, :2], weight).sum(), model) == ["parameter-unreached"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": 1.0}, "loss is of type float"),
        ({"model": 1}, "model is of type int"),
        ({"optimizer": 1}, "optimizer is of type int"),
        ({"recording": 1, "model": nn.ReLU()}, "recording is of type int"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentTypeError, match=message):
        ia.diagnose(**arguments)


def test_no_argument_at_all() -> None:
    with pytest.raises(ArgumentError, match="nothing was given"):
        ia.diagnose()
