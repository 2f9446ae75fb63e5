"""The colours of norms."""

import itertools
import math
import re

import pytest

from inspect_autograd.render.norm_scale import (
    NO_COLOR,
    SHADES,
    NormScale,
    contrast,
    format_norm,
    format_range,
    text_color,
)


def lightness(color: str) -> float:
    """CIE L*, by its definition (https://en.wikipedia.org/wiki/CIELAB_color_space)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    y = sum(
        weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )
    return 116 * math.cbrt(y) - 16


def as_seen(color: str, matrix: list[list[float]]) -> str:
    """A colour as a person sees it who lacks one kind of cone."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    mixed = [sum(w * c for w, c in zip(row, linear, strict=True)) for row in matrix]
    clipped = [min(max(c, 0.0), 1.0) for c in mixed]
    back = [12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in clipped]
    return "#" + "".join(f"{round(c * 255):02X}" for c in back)


# Machado, Oliveira and Fernandes 2009, severity 1.0.
BLINDNESS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize(
    ("norms", "ends"),
    [
        ([0.05, 0.2, 3.0], (-2, 1)),
        ([0.001, 100.0], (-3, 2)),
        # So small a range is widened: 0.149 to 0.3 lies within one power of ten.
        ([0.149, 0.3], (-2, 0)),
        ([1.0], (-1, 1)),
        ([1.0, 1.0, 10.0], (-1, 1)),
        ([2.0], (-1, 1)),
        # What is 0 or not finite has no place on the scale.
        ([0.0, math.inf, math.nan, 0.5, 20.0], (-1, 2)),
    ],
)
def test_the_scale_ends_at_powers_of_ten(norms: list[float], ends: tuple[int, int]) -> None:
    scale = NormScale.fit(norms)
    assert scale is not None
    assert (scale.low, scale.high) == ends


@pytest.mark.parametrize("norms", [[], [0.0], [math.nan, math.inf, 0.0]])
def test_without_norms_there_is_no_scale(norms: list[float]) -> None:
    assert NormScale.fit(norms) is None


def test_every_power_of_ten_counts_alike() -> None:
    scale = NormScale(-3, 1)
    places = [scale.position(norm) for norm in (0.001, 0.01, 0.1, 1.0, 10.0)]
    assert places == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert scale.position(math.sqrt(0.001)) == pytest.approx(0.375)


def test_beyond_an_end_is_at_that_end() -> None:
    scale = NormScale(0, 2)
    assert scale.position(1e-9) == scale.position(0.0) == 0
    assert scale.position(1e9) == scale.position(math.inf) == 1


def test_the_ends_of_the_scale_have_the_ends_of_the_colours() -> None:
    scale = NormScale(-2, 2)
    assert scale.color(0.01) == SHADES[0]
    assert scale.color(1.0) == SHADES[5]
    assert scale.color(100.0) == SHADES[10]
    assert scale.color(0.0) == NO_COLOR


def test_between_two_shades_colours_are_mixed() -> None:
    # Half way from the first shade to the second, at a twentieth of the scale.
    middle = NormScale(0, 20).color(10.0)
    first, second = ([int(s[i : i + 2], 16) for i in (1, 3, 5)] for s in SHADES[:2])
    mixed = [int(middle[i : i + 2], 16) for i in (1, 3, 5)]
    for low, channel, high in zip(second, mixed, first, strict=True):
        assert channel == pytest.approx((low + high) / 2, abs=1)


def test_larger_is_darker_in_even_steps() -> None:
    levels = [lightness(shade) for shade in SHADES]
    steps = [a - b for a, b in itertools.pairwise(levels)]
    assert min(steps) > 6
    assert max(steps) < 10


def test_every_colour_between_is_in_order_too() -> None:
    scale = NormScale(0, 3)
    levels = [lightness(scale.color(10 ** (3 * i / 300))) for i in range(301)]
    assert all(a >= b - 0.2 for a, b in itertools.pairwise(levels))
    assert levels[0] - levels[-1] > 70


@pytest.mark.parametrize("kind", BLINDNESS)
def test_the_order_is_seen_without_one_kind_of_cone(kind: str) -> None:
    levels = [lightness(as_seen(shade, BLINDNESS[kind])) for shade in SHADES]
    steps = [a - b for a, b in itertools.pairwise(levels)]
    assert min(steps) > 4


def test_text_is_readable_on_every_colour() -> None:
    scale = NormScale(0, 1)
    for i in range(501):
        fill = scale.color(10 ** (i / 500))
        assert re.fullmatch(r"#[0-9A-F]{6}", fill)
        assert contrast(text_color(fill), fill) >= 4.5
    assert text_color(SHADES[0]) == "#000000"
    assert text_color(SHADES[-1]) == "#FFFFFF"


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    # The first two by definition; the last is the grey known for just missing 4.5 on white.
    [("#000000", "#FFFFFF", 21), ("#0072B2", "#0072B2", 1), ("#777777", "#FFFFFF", 4.48)],
)
def test_contrast_is_that_of_wcag(first: str, second: str, ratio: float) -> None:
    assert contrast(first, second) == pytest.approx(ratio, abs=0.005)
    assert contrast(second, first) == contrast(first, second)


@pytest.mark.parametrize(
    ("scale", "texts"),
    [
        (NormScale(-2, 0), ["0.01", "0.1", "1"]),
        (NormScale(-4, 4), ["1e-4", "1e-3", "0.01", "0.1", "1", "10", "100", "1000", "1e4"]),
        # As many as can be read, evenly spread.
        (
            NormScale(-40, 40),
            ["1e-40", "1e-30", "1e-20", "1e-10", "1", "1e10", "1e20", "1e30", "1e40"],
        ),
    ],
)
def test_ticks_are_powers_of_ten_from_end_to_end(scale: NormScale, texts: list[str]) -> None:
    assert [text for text, _ in scale.ticks()] == texts
    for text, color in scale.ticks():
        assert color == scale.color(float(text))


def test_a_scale_may_end_beyond_what_a_float_can_hold() -> None:
    scale = NormScale.fit([5e-324, 1.7e308])
    assert scale is not None
    ticks = scale.ticks()
    assert (ticks[0][0], ticks[-1][0]) == ("1e-324", "1e309")
    assert (ticks[0][1], ticks[-1][1]) == (SHADES[0], SHADES[-1])
    assert len(ticks) == 9


def test_norms_are_written_as_stats_are_printed() -> None:
    assert format_norm(0.14912) == "|0.149|"
    assert format_norm(12345.0) == "|1.23e+04|"
    assert format_range(0.0012345, 4.1) == "|0.00123 … 4.1|"
    assert format_range(2.0, 2.0) == "|2|"
    assert format_range(0.12341, 0.12342) == "|0.123|"
