"""Find the one reason for each parameter that has no gradient."""

from __future__ import annotations

from collections.abc import Iterable

from ..events.effects import MANNERS, Cut
from ..events.records import BackwardPass
from .program_facts import AttributeFacts, ParameterFacts, ProgramFacts
from .seen_gradients import SeenGradients, find_seen, plain_name
from .why_no_grad import REASONS, MissingGradient, NoGradReason, WhyNoGrad

__all__ = ["find_why_no_grad"]

_CONTAINERS = ("ParameterList", "ParameterDict")
_MORE = (
    "Which of these were not used, and where a path was cut, only a recording can tell: compute "
    "the loss inside `with ia.record(model) as recording:`, and give recording=recording."
)
_GONE = (
    "it was cleared afterwards (zero_grad() sets .grad to None), or the pass was "
    "torch.autograd.grad or limited by inputs=, or a custom Function returned None"
)


def find_why_no_grad(facts: ProgramFacts) -> WhyNoGrad:
    """The reasons.

    Args:
        facts: About a loss and a model.
    """
    seen = None
    if facts.recording is not None:
        names = [p.name for p in facts.parameters]
        modules = [_module_of(p) for p in facts.parameters]
        seen = find_seen(facts.recording, facts.graph, names, modules)
        seen = None if seen.is_ambiguous else seen
    rows = [_explain(p, facts, seen) for p in facts.parameters if p.grad is None]
    rows += [_explain_attribute(attribute) for attribute in facts.attributes]
    order = {reason: place for place, reason in enumerate(REASONS)}
    rows.sort(key=lambda row: order[row.reason])
    return WhyNoGrad(
        missing=tuple(rows),
        with_gradient=sum(p.grad is not None for p in facts.parameters),
        zero=tuple(p.name for p in facts.parameters if p.grad is not None and p.grad.is_zero),
        notes=tuple(_notes(facts, seen, rows)),
    )


def _explain(
    parameter: ParameterFacts, facts: ProgramFacts, seen: SeenGradients | None
) -> MissingGradient:
    names, meta = parameter.names, parameter.meta
    if not parameter.is_leaf:
        text = f"made by {parameter.grad_fn}; gradients are kept in leaves only"
        return MissingGradient(names, meta, "not a leaf", text)
    if not parameter.requires_grad:
        return MissingGradient(names, meta, "frozen", _why_frozen(parameter))
    if parameter.node is not None:
        return _explain_reached(parameter, facts, seen)
    if seen is not None:
        return _explain_unreached(parameter, facts, seen)
    if facts.graph is None:
        return MissingGradient(names, meta, "loss without graph", facts.no_graph)
    if not parameter.is_plain:
        text = "its class puts another tensor into the graph, so a path to it is not seen"
        return MissingGradient(names, meta, "not in the graph", text, certainty="possible")
    if facts.hides_leaves:
        text = "a reentrant checkpoint hides what lies behind it, maybe this one"
        return MissingGradient(names, meta, "not in the graph", text, certainty="possible")
    text = "not used, or its output is not in this loss, or the path was cut on the way"
    return MissingGradient(names, meta, "not in the graph", text)


def _why_frozen(parameter: ParameterFacts) -> str:
    return "" if "frozen parameter" in parameter.no_graph else parameter.no_graph


def _explain_attribute(attribute: AttributeFacts) -> MissingGradient:
    names, meta = (attribute.name,), attribute.meta
    if attribute.kind == "computed":
        text = f"made by {attribute.grad_fn}; it is an attribute, not a parameter of the model"
        return MissingGradient(names, meta, "not a leaf", text)
    text = "it is not registered in the model, so model.parameters() does not list it"
    return MissingGradient(names, meta, "not in the graph", text, certainty="likely")


# -- the graph reaches it --------------------------------------------------------------------------


def _explain_reached(
    parameter: ParameterFacts, facts: ProgramFacts, seen: SeenGradients | None
) -> MissingGradient:
    reason, text = _why_reached(parameter, facts, seen)
    is_sure = reason != "gone" and (facts.ran != "unknown" or seen is not None)
    return MissingGradient(
        parameter.names, parameter.meta, reason, text, certainty="certain" if is_sure else "likely"
    )


def _why_reached(
    parameter: ParameterFacts, facts: ProgramFacts, seen: SeenGradients | None
) -> tuple[NoGradReason, str]:
    if seen is not None:
        name = plain_name(parameter.name)
        if name in seen.delivered:
            which = _pass(seen.delivered[name])
            return "cleared", f"{which} gave it one; zero_grad() or .grad = None took it away"
        if seen.loss_passes:
            return _why_refused(name, seen)
        if facts.ran != "ran":
            return "backward not run", "no backward pass from this loss was recorded"
    if facts.ran == "ran":
        return "gone", _GONE
    others = any(p.grad is not None for p in facts.parameters if p.node is not None)
    if facts.ran == "unknown" and others:
        return "gone", f"others that the graph reaches have one; {_GONE}"
    if facts.ran == "unknown":
        return (
            "backward not run",
            "or it was cleared afterwards: the graph keeps nothing that tells",
        )
    return "backward not run", ""


def _why_refused(name: str, seen: SeenGradients) -> tuple[NoGradReason, str]:
    last = seen.loss_passes[-1]
    if last.call == "grad":
        return "not asked for", f"{_pass(last)} returns gradients and leaves .grad as it is"
    if last.inputs is not None:
        return "not asked for", f"{_pass(last)} was limited by inputs= to others"
    reason = seen.refused.get(name, "nothing was delivered to it")
    return "nothing arrived", f"in {_pass(last)}: {reason}"


def _pass(one: BackwardPass) -> str:
    name = {"backward": "backward()", "grad": "torch.autograd.grad()"}.get(one.call, "a pass")
    return f"{name} at {one.place}"


# -- it does not -----------------------------------------------------------------------------------


def _explain_unreached(
    parameter: ParameterFacts, facts: ProgramFacts, seen: SeenGradients
) -> MissingGradient:
    names, meta, name = parameter.names, parameter.meta, plain_name(parameter.name)
    cuts = [cut for cut in seen.cuts.get(name, ()) if cut.reaches_loss is not False]
    told = [cut for cut in cuts if cut.lost]
    # Before any backward pass a recording does not know yet what a loss is.
    cuts = told or (cuts if facts.graph is None or name not in seen.reached else [])
    unused = [cut for cut in seen.cuts.get(name, ()) if cut.reaches_loss is False]
    if not cuts and not seen.loss_passes and name not in seen.reached:
        cuts = unused
    if cuts:
        certain = bool(told) and cuts[0].reaches_loss is True
        text = _describe_cut(cuts[0], len(cuts) - 1)
        return MissingGradient(
            names, meta, "cut", text, cuts[0].source, "certain" if certain else "likely"
        )
    if name in seen.reached:
        text = f"it was part of what {_pass(seen.reached[name])} started from"
        return MissingGradient(names, meta, "not in this loss", text)
    if unused:
        text = f"it went into {_describe_cut(unused[0], 0)}, and what came out into no loss"
        return MissingGradient(names, meta, "not in this loss", text, unused[0].source)
    return _explain_unseen(parameter, facts, seen)


def _explain_unseen(
    parameter: ParameterFacts, facts: ProgramFacts, seen: SeenGradients
) -> MissingGradient:
    names, meta = parameter.names, parameter.meta
    path = plain_name(_module_of(parameter))
    calls = seen.calls.get(path, ())
    if calls:
        line = calls[0].source
        where = "" if line is None else f", first at {line.short}"
        times = "once" if len(calls) == 1 else f"{len(calls)} times"
        text = (
            f"{path or 'the model'} was called {times}{where}; what came of it is not in the loss"
        )
        return MissingGradient(names, meta, "not in this loss", text, line, "likely")
    if facts.hides_leaves:
        text = "a reentrant checkpoint hides what lies behind it, maybe this one"
        return MissingGradient(names, meta, "not in the graph", text, certainty="possible")
    text = f"{path or 'the model'} was not called in the recording"
    return MissingGradient(names, meta, "module not called", text)


def _describe_cut(cut: Cut, others: int) -> str:
    at = "" if cut.source is None else f" at {cut.source.short}"
    more = f", and {others} other cut{'s' * (others != 1)}" if others else ""
    return f"{cut.function}{MANNERS.get(cut.reason, '')}{at}{more}"


def _module_of(parameter: ParameterFacts) -> str:
    """Path of the module whose call uses a parameter: a list of parameters is never called."""
    if parameter.module_type.endswith(_CONTAINERS):
        return parameter.module.rpartition(".")[0]
    return parameter.module


def _notes(
    facts: ProgramFacts, seen: SeenGradients | None, rows: list[MissingGradient]
) -> Iterable[str]:
    reasons = {row.reason for row in rows}
    if facts.recording is None and reasons & {"not in the graph", "loss without graph", "gone"}:
        yield _MORE
    if facts.recording is not None and seen is None:
        yield (
            "The recording holds several models with these names, so it was not used: record this "
            "model alone, or give the outermost model."
        )
    if facts.wrapper == "DistributedDataParallel" and reasons & {
        "cut", "module not called", "not in this loss", "not in the graph"
    }:  # fmt: skip
        yield (
            "DistributedDataParallel waits for every gradient: with these missing its next forward "
            "pass raises, unless it was made with find_unused_parameters=True."
        )
