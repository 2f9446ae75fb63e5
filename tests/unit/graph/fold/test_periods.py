from inspect_autograd.graph.fold.periods import find_free, find_periodic


def test_stretches_are_maximal() -> None:
    assert list(find_periodic("xababay", 2)) == [(1, 6)]
    assert list(find_periodic("aabbb", 1)) == [(0, 2), (2, 5)]
    assert list(find_periodic("abc", 1)) == []
    assert list(find_periodic("aaaa", 4)) == []


def test_free_places() -> None:
    taken = bytearray(b"\1\0\0\1\0")
    assert find_free(taken, 0, 5) == (1, 3)
    assert find_free(taken, 2, 3) == (2, 3)
    assert find_free(taken, 4, 5) == (4, 5)
    assert find_free(taken, 3, 4) == (4, 4)
