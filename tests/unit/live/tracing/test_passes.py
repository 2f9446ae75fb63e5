from __future__ import annotations

import threading

from inspect_autograd.events.records import Outcome
from inspect_autograd.live.tracing.passes import OpenPass, PassBook, outcome_of


def new(**values: object) -> OpenPass:
    return OpenPass(-1, "backward", None, threading.get_ident(), **values)  # type: ignore[arg-type]


def test_passes_are_numbered_as_they_are_announced() -> None:
    book = PassBook()
    opened = [book.announce(new(), belongs=belongs) for belongs in (True, False, True)]
    assert [o.id for o in opened] == [0, -1, 1]
    assert book.passes == [opened[0], opened[2]]
    assert book.foreign == 1


def test_first_node_tells_which_pass_a_graph_task_is() -> None:
    book = PassBook()
    opened = book.announce(new(), belongs=True)
    assert book.find(7) is None
    assert book.enter(7, node=0)
    assert (book.find(7), opened.graph_task, book.current_task) == (opened, 7, 7)
    assert book.enter(7, node=1)


def test_nodes_of_other_passes_do_not_belong() -> None:
    book = PassBook()
    book.announce(new(), belongs=False)
    assert not book.enter(7, node=0)
    assert book.current_task == -1
    assert not book.enter(7, node=1)


def test_inner_pass_and_back_again() -> None:
    book = PassBook()
    outer = book.announce(new(create_graph=True), belongs=True)
    assert book.enter(1, node=0)
    inner = book.announce(new(), belongs=True)
    assert book.enter(2, node=5)
    book.close(inner, Outcome("completed"))
    assert book.current_task == -1
    assert book.enter(1, node=1)
    assert (outer.graph_task, inner.graph_task) == (1, 2)
    assert book.recorded_tasks == {1}


def test_pass_in_another_thread_is_told_by_its_root() -> None:
    """As on an accelerator, where nodes run in a thread of the engine."""
    book = PassBook()
    first = book.announce(new(root_ids=frozenset({3})), belongs=True)
    second = book.announce(new(root_ids=frozenset({4})), belongs=True)
    thread = threading.Thread(target=lambda: book.enter(9, node=3))
    thread.start()
    thread.join()
    assert (first.graph_task, second.graph_task) == (9, None)


def test_pass_of_the_same_thread_comes_first() -> None:
    book = PassBook()
    mine = book.announce(new(root_ids=frozenset({3})), belongs=True)
    other = OpenPass(-1, "backward", None, -1, root_ids=frozenset({0}))
    book.announce(other, belongs=True)
    assert book.enter(9, node=0)
    assert (mine.graph_task, other.graph_task) == (9, None)


def test_pass_that_nobody_announced() -> None:
    book = PassBook()
    assert book.enter(5, node=2)
    (found,) = book.passes
    assert (found.call, found.outcome.status) == ("engine", "running")
    assert found.root_ids == {2}
    book.end(None, None)
    assert found.outcome == Outcome("completed")


def test_pass_that_nobody_announced_and_that_failed() -> None:
    book = PassBook()
    book.enter(5, node=2)
    book.end(ValueError("why"), 2)
    assert book.passes[0].outcome == Outcome("raised", "ValueError", "why", 2)


def test_pass_that_is_still_running_at_the_end_stays_so() -> None:
    book = PassBook()
    opened = book.announce(new(), belongs=True)
    book.end(None, None)
    assert opened.outcome.status == "running"


def test_nothing_belongs_after_the_end() -> None:
    """A hook that an interrupt has left behind would else note passes for ever."""
    book = PassBook()
    book.announce(new(), belongs=True)
    assert book.enter(1, node=0)
    book.end(None, None)
    assert book.current_task == -1
    assert not book.enter(1, node=0)
    assert not book.enter(2, node=0)
    assert len(book.passes) == 1


def test_equal_passes_are_not_mixed_up() -> None:
    book = PassBook()
    first, second = (book.announce(new(), belongs=False) for _ in range(2))
    assert first != second
    book.close(first, Outcome("completed"))
    assert not book.is_alone(new_in_another_thread())
    book.close(second, Outcome("completed"))
    assert book.is_alone(new_in_another_thread())


def new_in_another_thread() -> OpenPass:
    return OpenPass(-1, "backward", None, -1)


def test_outcome_of() -> None:
    assert outcome_of(None, 3) == Outcome("completed")
    assert outcome_of(KeyError("k"), 3) == Outcome("raised", "KeyError", "'k'", 3)
