"""step: run the backward pass of a graph one node at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from ...errors import ArgumentError, ArgumentTypeError
from ...events.engine_state import EngineState, NodeStatus
from ...graph.graph import Graph
from ..node_types import is_node
from ..parameters import collect_names
from ..private_torch import not_compiled, unobserved
from ..roots import find_roots
from ..tensor_meta import TensorMetaCache
from .bookkeeping import Bookkeeping
from .describe_step import describe_state, describe_status
from .engine import Engine, Executed, Options
from .starts import find_inputs, find_starts
from .step import Step
from .stepped_graph import SteppedGraph

__all__ = ["Stepper", "step"]


@not_compiled
def step(
    outputs: Any,
    gradient: Any = None,
    inputs: Any = None,
    *,
    params: Any = None,
    accumulate: bool = False,
    create_graph: bool = False,
) -> Stepper:
    """Run a backward pass one node at a time, by an engine written in Python.

    It runs the real nodes in the order of PyTorch's engine, and gives the same gradients to the
    last bit. Nothing is freed, so that `backward()` still works afterwards, and no `.grad` is
    touched unless `accumulate` is set. Hooks of the program do not run, and so do not change the
    gradients here; neither does anything that a hook triggers (gradients of DDP are not averaged).

    Args:
        outputs: What the pass starts from, as for `capture`: usually the loss.
        gradient: As for `backward`: a tensor of the shape of the output, or one per output. May
            be left out where an output is a single number.
        inputs: Tensors whose gradients are wanted, as for `autograd.grad`; only what leads to
            them runs. By default all leaves.
        params: Names for parameters, buffers and inputs, as for `capture`.
        accumulate: Add the gradients to `.grad` of the leaves, as `backward` does; hooks that run
            after accumulation then run, too.
        create_graph: Let the gradients have graphs, for second derivatives.

    Returns:
        A Stepper, before the first node. It is an iterator over Steps.

    Raises:
        NoGraphError: No tensor in `outputs` carries a graph; says why.
        ArgumentError: `gradient` or `inputs` do not fit the outputs.
        ArgumentTypeError: An argument is of the wrong kind.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> x = torch.arange(4.0, requires_grad=True)
        >>> for step in ia.step(2 * torch.dot(x, x)):
        ...     print(step.node.name, step.received)
        MulBackward0 (tensor(1.),)
        DotBackward0 (tensor(2.),)
        AccumulateGrad (tensor([ 0.,  4.,  8., 12.]),)
    """
    with unobserved():
        names = collect_names(params)
        roots, _ = find_roots(outputs, TensorMetaCache())
        graph = SteppedGraph(outputs, roots, names)
        starts = find_starts(roots, gradient, graph.live)
        given, places = (None, None) if inputs is None else find_inputs(inputs, graph.live)
        options = Options(
            inputs=None if places is None else tuple(place for place in places if place),
            accumulate=accumulate,
            create_graph=create_graph,
        )
        if accumulate and given is not None:
            _check_leaves(given)
        engine = Engine(graph.live, starts, options)
    return Stepper(graph, engine, given, places)


def _check_leaves(inputs: list[Any]) -> None:
    for position, value in enumerate(inputs):
        if not isinstance(value, torch.Tensor) or not value.is_leaf:
            raise ArgumentError(
                f"accumulate is True, but inputs[{position}] is no leaf, so it has no .grad",
                remedy="Leave accumulate out; stepper.gradients holds the gradient.",
            )


class Stepper:
    """A backward pass that is run one node at a time; made by `step`.

    It is an iterator over the steps to come. Steps that were taken are kept with their tensors, so
    that `back` costs nothing; drop the stepper to free them.

    Attributes:
        position: How many steps have been taken. Steps that `back` took back are not run again.
        notes: What makes a difference to `backward()` and can be seen: hooks on leaves, which do
            not run here.
    """

    def __init__(
        self,
        graph: SteppedGraph,
        engine: Engine,
        inputs: list[Any] | None,
        places: list[tuple[int, int] | None] | None,
    ) -> None:
        self._graph = graph
        self._engine = engine
        self._inputs = inputs
        self._places = places
        self._taken: list[Executed] = []
        self._totals: tuple[int, dict[int, tuple[torch.Tensor, torch.Tensor]]] = (0, {})
        self.position = 0
        self.notes: tuple[str, ...] = tuple(
            f"{name} has hooks, which backward() runs and step() does not"
            for name in graph.find_hooked_leaves()
        )

    # -- going on ------------------------------------------------------------------------------

    def next(self) -> Step | None:
        """Run the next node; None if the pass is over.

        Raises:
            Exception: What the node raises. The stepper then stands before that node, as it did.
        """
        index = self.position
        if index == len(self._taken):
            if not self._engine.book.queue:
                return None
            self._taken.append(self._run_next())
        self.position = index + 1
        return self._step(index)

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        step = self.next()
        if step is None:
            raise StopIteration
        return step

    def run(self) -> Stepper:
        """Run all that is left."""
        for _ in self:
            pass
        return self

    def run_until(self, target: Any) -> Step | None:
        """Run up to a node, and run that.

        Args:
            target: A glob for the names of nodes, parameters, or recorded modules; the id of a
                node, a Node, or a live node; or a function that is given each Step and answers
                yes or no.

        Returns:
            The step of that node; None if the pass ended before one came.

        Raises:
            ArgumentError: There is no such node in the graph.
            ArgumentTypeError: `target` is none of these.
        """
        matches = self._condition(target)
        for step in self:
            if matches(step):
                return step
        return None

    def back(self, count: int = 1) -> Step | None:
        """Take steps back.

        Returns:
            The last step that is still taken; None at the start.

        Raises:
            ArgumentError: `count` is less than 1, or gradients were added to `.grad`, which cannot
                be taken back.
        """
        if isinstance(count, bool) or not isinstance(count, int):
            raise ArgumentTypeError(
                f"count is {count!r} of type {type(count).__name__}; expected a whole number",
                remedy="Say how many steps to take back, or leave it out for one.",
            )
        if count < 1:
            raise ArgumentError(
                f"count is {count}; expected 1 or more", remedy="Use next() to go on."
            )
        if self._engine.options.accumulate:
            raise ArgumentError(
                "back() was called on a stepper with accumulate=True, which adds to .grad",
                remedy="Step without accumulate; stepper.gradients holds the gradients.",
            )
        self.position = max(0, self.position - count)
        return self._step(self.position - 1) if self.position else None

    # -- looking -------------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        """The graph as records; ids of nodes are those of `capture` of the same outputs."""
        return self._graph.graph

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps taken."""
        return tuple(map(self._step, range(self.position)))

    @property
    def state(self) -> EngineState:
        """The queue, the nodes that wait, and what is held for them."""
        return describe_state(
            self._graph, self._book(), self._taken[: self.position], self._engine.plan
        )

    def peek(self, node: Any) -> NodeStatus:
        """What has arrived at a node and what has not.

        Args:
            node: A glob that matches one node, the id of a node, a Node, or a live node.

        Raises:
            ArgumentError: There is no such node, or several.
            ArgumentTypeError: `node` is none of these.
        """
        ids = self._graph.select(node, "node")
        if len(ids) > 1:
            first = ", ".join(f"#{id}" for id in sorted(ids)[:5])
            raise ArgumentError(
                f"node is {node!r}, which matches {len(ids)} nodes ({first}"
                f"{', …' if len(ids) > 5 else ''}); expected one",
                remedy="Give the id of the one that is meant.",
            )
        (id,) = ids
        return describe_status(
            self._graph, id, self._book(), self._taken[: self.position], self._engine.plan
        )

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The tensors whose gradients are wanted: those given, or all leaves, by node id."""
        if self._inputs is not None:
            return tuple(self._inputs)
        return tuple(self._leaves().values())

    @property
    def gradients(self) -> tuple[torch.Tensor | None, ...]:
        """The gradient of each of `inputs` after the steps taken; None where none has arrived."""
        return tuple(map(self.gradient_of, self.inputs))

    def gradient_of(self, tensor: Any) -> torch.Tensor | None:
        """The gradient of one input or leaf after the steps taken; None if none has arrived."""
        for wanted, place in zip(self._inputs or (), self._places or (), strict=True):
            if wanted is tensor:
                return None if place is None else self._captured(*place)
        if self._totals[0] != self.position:
            self._totals = (self.position, self._add_up())
        known = self._totals[1].get(id(tensor))
        return None if known is None else known[1]

    def __repr__(self) -> str:
        total = len(self._graph.live.nodes)
        return f"<Stepper: {self.position} steps taken, {total} nodes>"

    # -- inside --------------------------------------------------------------------------------

    def _leaves(self) -> dict[int, torch.Tensor]:
        found = {}
        for node in self._graph.live.nodes:
            leaf = getattr(node, "variable", None)
            if leaf is not None:
                found[id(leaf)] = leaf
        # And those that only a pass inside a node has reached.
        for done in self._taken:
            for leaf, _ in done.reached:
                found.setdefault(id(leaf), leaf)
        return found

    def _captured(self, node: int, slot: int) -> torch.Tensor | None:
        for done in self._taken[: self.position]:
            if done.node == node:
                return done.buffer.sums[slot]
        return None

    def _add_up(self) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
        """What each leaf has got so far, by the id of the leaf."""
        totals: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        for done in self._taken[: self.position]:
            for leaf, gradient in done.reached:
                before = totals.get(id(leaf))
                total = gradient if before is None else before[1] + gradient
                totals[id(leaf)] = (leaf, total)
        return totals

    def _step(self, index: int) -> Step:
        return Step(index, self._taken[index], self._graph, self._engine.plan)

    def _run_next(self) -> Executed:
        engine = self._engine
        try:
            return engine.run_next()
        except Exception as error:
            node = engine.book.queue.peek()
            label = self._graph.graph.nodes[node].label
            error.add_note(f"raised by node #{node} {label}, step {len(self._taken)} of the pass")
            raise

    def _book(self) -> Bookkeeping:
        """Where the pass stood after the steps that are taken."""
        if self.position == len(self._taken):
            return self._engine.book
        book = self._engine.begin()
        with torch.no_grad():
            for done in self._taken[: self.position]:
                book.take()
                self._engine.pass_on(book, done.node, done.returned)
        return book

    def _condition(self, target: Any) -> Callable[[Step], bool]:
        if callable(target) and not is_node(target):
            return lambda step: bool(target(step))
        ids = self._graph.select(target, "target")
        return lambda step: step.id in ids
