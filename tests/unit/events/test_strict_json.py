"""Every value comes back from strict JSON as it was."""

from __future__ import annotations

import json
from math import copysign, inf, isnan, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspect_autograd.events.record_codec import (
    NUMBERS,
    decode_environment,
    decode_stats,
    encode_environment,
    encode_stats,
)
from inspect_autograd.events.records import Environment, TensorStats
from inspect_autograd.events.strict_json import (
    decode_number,
    decode_plain,
    encode_number,
    encode_plain,
    flag,
    text,
    text_or_none,
    whole_number,
    whole_or_none,
)
from inspect_autograd.graph.tensor_meta import TensorMeta

NUMBER = st.none() | st.floats()
COUNT = st.none() | st.integers(0, 1 << 62)
TEXT = st.text(st.characters(exclude_categories=()), max_size=5)
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
PLAIN = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)
META = st.builds(
    TensorMeta,
    st.none() | st.lists(st.integers(0, 9) | TEXT, max_size=3).map(tuple),
    TEXT,
    TEXT,
    st.none() | TEXT,
)
STATS = st.builds(
    TensorStats, META, NUMBER, NUMBER, NUMBER, NUMBER, COUNT, COUNT, COUNT, st.just("") | TEXT
)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def through_json(value: Any) -> Any:
    line = json.dumps(value, allow_nan=False, ensure_ascii=False)
    data = line.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
    return json.loads(data, parse_constant=refuse)


@given(STATS)
def test_what_is_known_of_a_gradient(stats: TensorStats) -> None:
    # The texts, as one NaN is not equal to another; they tell 1 from 1.0 and 0.0 from -0.0 too.
    assert repr(decode_stats(through_json(encode_stats(stats)))) == repr(stats)


@given(PLAIN)
def test_settings(value: Any) -> None:
    environment = Environment("2.13", "3.11", "Linux", {"a": value})
    assert repr(decode_environment(through_json(encode_environment(environment)))) == repr(
        environment
    )


def test_a_text_that_reads_like_a_number_stays_a_text() -> None:
    assert decode_plain(through_json(encode_plain(("nan", "inf")))) == ("nan", "inf")
    found = decode_plain(through_json(encode_plain((nan, -inf))))
    assert isinstance(found, tuple)
    assert isinstance(found[0], float)
    assert isnan(found[0])
    assert found[1] == -inf


@pytest.mark.parametrize(
    ("number", "value"),
    [(None, None), (1.5, 1.5), (nan, "nan"), (inf, "inf"), (-inf, "-inf"), (3, 3)],
)
def test_numbers(number: float | None, value: Any) -> None:
    assert encode_number(number) == value
    assert repr(decode_number(value)) == repr(number)


def test_the_sign_of_zero_is_kept() -> None:
    assert copysign(1.0, decode_number(through_json(encode_number(-0.0)))) == -1.0


@pytest.mark.parametrize("value", ["NaN", "1.5", "", True, [], {}])
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a number and found"):
        decode_number(value)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (whole_number, [0, -1, 1 << 70], [None, 1.0, True, "1"]),
        (whole_or_none, [0, None], [1.0, False, "1"]),
        (text, ["", "a"], [None, 1, ["a"]]),
        (text_or_none, ["", None], [1, ["a"]]),
        (flag, [True, False], [0, 1, None, "true"]),
    ],
)
def test_what_has_to_be_where(check: Any, good: list[Any], bad: list[Any]) -> None:
    assert [check(value) for value in good] == good
    for value in bad:
        with pytest.raises(ValueError, match=r"expected .* and found"):
            check(value)


def test_what_was_not_computed_is_left_out() -> None:
    stats = TensorStats(TensorMeta((2,), "float32"))
    assert encode_stats(stats) == {"shape": (2,), "dtype": "float32", "device": "cpu"}
    assert encode_stats(None) is None
    assert {*NUMBERS} <= {*TensorStats.__slots__}
