"""The check of one node."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...events.vjp_report import VjpArgument, VjpCheck
from ..node_types import NodeType, describe_type
from ..private_torch import LiveNode, forward_class
from ..walk import LiveGraph
from .call_node import Returned, call_node, check_callable
from .compare import Tolerance, describe_comparison, gather_returned, measure
from .diagnose import Compared, find_exchanged, name_fault
from .finite_differences import Differences, Repeated, repeat_forward
from .forward_call import Argument, CannotCheckError, ForwardCall
from .gradients import Gradients, join_gradients, make_gradients, match_outputs
from .in_double import return_in_double
from .rebuild_calls import CallRebuilder
from .record_calls import CallRecorder

__all__ = ["CheckSettings", "NodeChecker"]


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """The numbers that `check_vjp` was given."""

    tolerance: Tolerance
    eps: float | None
    max_elements: int
    seed: int


class NodeChecker:
    """Checks nodes of one graph.

    Args:
        live: The graph.
        recorder: What was seen while it was made; None if it was made before.
        settings: Tolerances and limits.
    """

    def __init__(
        self, live: LiveGraph, recorder: CallRecorder | None, settings: CheckSettings
    ) -> None:
        self._live = live
        self._recorder = recorder
        self._settings = settings
        self._generator = torch.Generator()
        self._rebuilder = CallRebuilder(live.nodes, settings.max_elements, self._generator)

    def check(self, id: int, name: str) -> VjpCheck:
        """The check of one node."""
        node = self._live.nodes[id]
        node_type = describe_type(type(node))
        place = _place_of(node) if node_type.kind == "custom" else ""
        # One seed per node: its numbers do not depend on which others are checked.
        self._generator.manual_seed(self._settings.seed + id)
        try:
            check_callable(node, node_type)
            call = self._find_call(id, node, node_type)
            with torch.no_grad():
                return _NodeCheck(
                    self._live, self._settings, id=id, name=name, place=place, call=call
                ).run(self._generator)
        except CannotCheckError as error:
            return VjpCheck(id, name, place, "not checked", str(error))

    def _find_call(self, id: int, node: LiveNode, node_type: NodeType) -> ForwardCall:
        if self._recorder is not None:
            number = self._live.sequence_nrs[id]
            found = self._recorder.find(node, number, is_custom=node_type.kind == "custom")
            if found is not None:
                return found
        return self._rebuilder.rebuild(node, node_type)


class _NodeCheck:
    def __init__(
        self,
        live: LiveGraph,
        settings: CheckSettings,
        *,
        id: int,
        name: str,
        place: str,
        call: ForwardCall,
    ) -> None:
        self._live = live
        self._settings = settings
        self._id = id
        self._name = name
        self._place = place
        self._call = call
        self._node = live.nodes[id]
        self._notes = [f"assuming that {call.assumption}"] if call.assumption else []

    def run(self, generator: torch.Generator) -> VjpCheck:
        call, node = self._call, self._node
        receives = match_outputs(node, call)
        repeated = repeat_forward(call, receives)
        rows = make_gradients(call, receives, generator)
        count = len(call.argument_names) if call.is_custom else len(node.next_functions)
        returned = [call_node(node, row, count) for row in rows[:2]]
        if returned[0].changed_received:
            self._notes.append(
                "it writes into the gradient that it receives, which other nodes may hold too"
            )
        fault = _fault_of_values(call, returned[0])
        if fault:
            return self._result("wrong", repeated, diagnosis=fault)
        vectors = torch.stack([join_gradients(row, receives) for row in rows]).to(repeated.value)
        differences = Differences(repeated, vectors, self._settings.eps)
        values = [one.values for one in returned]
        pairs = [
            (argument, self._compare(argument, values, rows[0], repeated, differences))
            for argument in call.arguments
        ]
        if any(bool(compared.wrong.any()) for _, compared in pairs):
            exact = return_in_double(
                node, call, repeated, rows=rows[:2], receives=receives, count=count
            )
            if exact is not None:
                self._pardon_rounding(pairs, exact, repeated, differences)
        return self._conclude(pairs, repeated)

    def _compare(
        self,
        argument: Argument,
        values: Sequence[Sequence[Any]],
        row: Gradients,
        repeated: Repeated,
        differences: Differences,
    ) -> Compared:
        like = self._call.tensors[argument.tensor]
        gathered = gather_returned([one[argument.returned] for one in values], like, argument.name)
        if gathered.note and self._call.is_custom:
            self._notes.append(gathered.note)
        dtypes = [like.dtype, repeated.dtype]
        dtypes += [gradient.dtype for gradient in row if gradient is not None]
        tolerance = self._settings.tolerance
        return measure(
            gathered,
            argument,
            like,
            differences,
            rtol=tolerance.rtol_for(dtypes),
            atol=tolerance.atol,
        )

    def _pardon_rounding(
        self,
        pairs: Sequence[tuple[Argument, Compared]],
        exact: Sequence[Sequence[Any]],
        repeated: Repeated,
        differences: Differences,
    ) -> None:
        """Take a small error for rounding where the formula is right in double precision.

        Where results are rounded before they are differentiated, as near the end of a tanh, even
        a right formula returns something else than the exact gradient.
        """
        for argument, compared in pairs:
            like = self._call.tensors[argument.tensor]
            if not compared.wrong.any() or like.dtype == repeated.dtype or compared.got is None:
                continue
            errors = (compared.got - compared.expected[:2]).abs()[:, compared.known]
            rtol = self._settings.tolerance.rtol_for([like.dtype])
            if not bool((errors <= rtol * differences.received_size).all()):
                continue
            wide = repeated.inputs[argument.tensor]
            values = [one[argument.returned] for one in exact]
            gathered = gather_returned(values, wide, argument.name)
            precise = Tolerance(None, None).rtol_for([repeated.dtype])
            if bool(
                measure(gathered, argument, wide, differences, rtol=precise, atol=None).wrong.any()
            ):
                continue
            compared.wrong = torch.zeros_like(compared.wrong)
            dtype = str(like.dtype).removeprefix("torch.")
            self._notes.append(
                f"the formula for {argument.name} is right in {self._precision(repeated)}; in "
                f"{dtype} rounding makes it be off by up to {errors.max().item():.2g}"
            )

    def _conclude(self, pairs: Sequence[tuple[Argument, Compared]], repeated: Repeated) -> VjpCheck:
        arguments = tuple(self._describe(*pair) for pair in pairs)
        if any(argument.status == "wrong" for argument in arguments):
            diagnosis = _diagnose([compared for _, compared in pairs])
            return self._result("wrong", repeated, diagnosis=diagnosis, arguments=arguments)
        unknown = [argument for argument in arguments if argument.status == "not checked"]
        if unknown:
            reason = "; ".join(f"{argument.name}: {argument.reason}" for argument in unknown)
            return self._result("not checked", repeated, reason=reason, arguments=arguments)
        return self._result("right", repeated, arguments=arguments)

    def _describe(self, argument: Argument, compared: Compared) -> VjpArgument:
        target = self._node.next_functions[argument.slot][0]
        like = self._call.tensors[argument.tensor]
        return describe_comparison(compared, argument, like, self._live.ids[target])

    @staticmethod
    def _precision(repeated: Repeated) -> str:
        return str(repeated.dtype).removeprefix("torch.")

    def _result(self, status: Any, repeated: Repeated, **fields: Any) -> VjpCheck:
        return VjpCheck(
            self._id,
            self._name,
            self._place,
            status,
            source=self._call.source,
            precision=self._precision(repeated),
            notes=tuple(self._notes),
            **fields,
        )


def _fault_of_values(call: ForwardCall, returned: Returned) -> str:
    """What the engine refuses about the values as a whole; empty if nothing."""
    count = len(call.argument_names)
    if not call.is_custom:
        return ""
    if len(returned.values) != count:
        arguments = f"{count} argument{'s' * (count != 1)}"
        return (
            f"its backward returns {returned.count} value{'s' * (returned.count != 1)} for the "
            f"{arguments} of forward ({', '.join(call.argument_names)}), which autograd refuses"
        )
    for position, (name, value) in enumerate(
        zip(call.argument_names, returned.values, strict=True)
    ):
        if value is not None and position not in call.tensor_positions:
            return (
                f"its backward returns a gradient for {name}, which is not a tensor; autograd "
                "refuses that"
            )
    return ""


def _diagnose(compared: Sequence[Compared]) -> str:
    exchanged = find_exchanged(compared)
    if exchanged:
        return exchanged
    faults = [(one.name, name_fault(one)) for one in compared if bool(one.wrong.any())]
    return "; ".join(f"the gradient of argument {name} {fault}" for name, fault in faults)


def _place_of(node: LiveNode) -> str:
    """File and line of the backward of a custom Function."""
    cls = forward_class(node)
    has_vjp = cls.vjp is not torch.autograd.Function.vjp
    code = getattr(inspect.unwrap(cls.vjp if has_vjp else cls.backward), "__code__", None)
    if code is None:
        return ""
    line = code.co_firstlineno
    # The first line is that of its first decorator.
    while linecache.getline(code.co_filename, line).lstrip().startswith("@"):
        line += 1
    return f"{code.co_filename}:{line}"
