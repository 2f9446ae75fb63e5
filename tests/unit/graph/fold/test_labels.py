from inspect_autograd.graph.fold.labels import common_scope, count_names, format_names
from tests.unit.graph.fold.building import build, line


def test_names_are_counted_most_frequent_first_then_by_name() -> None:
    table = line("Mul Add Exp Add Mul Sin").node_table
    assert count_names(table, range(6)) == (("Add", 2), ("Mul", 2), ("Exp", 1), ("Sin", 1))


def test_a_list_of_names_is_bounded() -> None:
    assert format_names([("Mul", 300), ("Add", 1)]) == "Mul ×300, Add"
    assert format_names([("Mul", 300), ("Add", 200)], limit=12) == "Mul ×300, …"
    assert format_names([("Mul", 300), ("Add", 200)], limit=18) == "Mul ×300, Add ×200"
    assert format_names([("X" * 100, 2)], limit=20) == "XXXXXXXXX… ×2"


def test_common_scope() -> None:
    table = build("", "M " * 6, scopes={0: "a.b", 1: "a.b.c", 2: "a.bc", 3: "", 4: "d"}).node_table
    assert common_scope(table, [0]) == "a.b"
    assert common_scope(table, [1, 0]) == "a.b"
    assert common_scope(table, [0, 2]) == "a"
    assert common_scope(table, [0, 3]) == ""
    assert common_scope(table, [0, 4]) == ""
    assert common_scope(table, [0, 5]) is None
