"""How numbers are written."""

from foolscope.experiments.wording.sentences import (
    PLAIN,
    POINTS,
    amount,
    exactly,
    more_seeds_text,
    number,
    p_text,
    percent,
    scale_of,
)


def test_numbers() -> None:
    assert scale_of("robust_accuracy") is POINTS
    assert scale_of("validation_loss") is PLAIN
    assert number(-0.0001, POINTS) == "0.0"
    assert number(-0.0001, POINTS, half_width=0.00005) == "−0.010"
    assert number(0.5, POINTS, half_width=0.0) == "50.0"
    assert number(-3e-14, PLAIN) == "−3e−14"
    assert number(3e-14, PLAIN, half_width=1e-15) == "3e−14"
    assert number(1.5, PLAIN, half_width=20.0) == "1.50"
    assert amount(0.01, POINTS) == "1 point"
    assert amount(-0.025, POINTS) == "−2.5 points"
    assert p_text(0.0009) == "p < 0.001"
    assert p_text(0.123) == "p = 0.12"
    assert exactly(0.5125, POINTS) == "51.25 %"
    assert exactly(-0.5, PLAIN) == "−0.5"
    assert percent(0.95) == "95 %"


def test_huge_numbers_have_two_digits_and_a_power_of_ten() -> None:
    assert number(123456.0, PLAIN) == "1.2e5"
    assert number(99999.0, PLAIN) == "99999.00"


def test_seeds_needed() -> None:
    assert more_seeds_text(1, 5) == "about 1 more seed would decide"
    assert more_seeds_text(7, 5) == "about 7 more seeds would decide"
    assert "1000" in more_seeds_text(None, 5)
    assert "one seed" in more_seeds_text(None, 1)
