import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foolscope.reports.text import clean_text, format_number, one_line_text


@given(st.text(st.characters(codec=None)))
def test_clean_text_can_be_encoded_and_is_stable(text):
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert clean_text(cleaned) == cleaned
    assert not any(ord(character) < 32 and character not in "\n\t" for character in cleaned)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_printable_text_is_untouched(text):
    assert clean_text(text) == text


@given(st.text())
def test_one_line_text_has_one_line(text):
    assert len(one_line_text(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("value", "specification", "words"),
    [
        (0.1 + 0.2, "", "0.3"),
        (1797, "", "1797"),
        (-0.0441, ".1%", "−4.4 %"),
        (0.95333, ".3f", "0.953"),
        (math.nan, ".3f", "not a number"),
        (-math.inf, "", "−∞"),
    ],
)
def test_format_number(value, specification, words):
    assert format_number(value, specification) == words
