"""Texts made for the patterns of schemas."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.imports.patterns import matching


@pytest.mark.parametrize(
    "pattern",
    ["^[a-z]{3}$", r"^\d{4}-\d{2}$", "^(cat|dog)s?$", r"^\+?[0-9]{2,14}$", r"^[^a-zA-Z0]+$", "^#[0-9A-F]{6}$", "x", "", r"^a\.b\/c$", "^[]a]$",
     r"^[\w.-]+@[\w-]+\.[a-z]{2,}$", "^(?:a(b(c|d)){2})*$", "^a|b$", "^.{5}$", r"^[\]]$", r"^[A-Z]{2}\d{2}[ ]\S+$"],
)  # fmt: skip
def test_plain_patterns_are_met(pattern):
    """The usual expressions of schemas get a text that matches."""
    text = matching(pattern)
    assert text is not None
    assert re.search(pattern, text)


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)b",
        r"(a)\1",
        r"\bword\b",
        "(",
        ")",
        "[",
        "a{3",
        "a**",
        "a++",
        "(?i)a",
        r"\x41",
        "a{9999}",
        "^$a",
        "a^",
        "x" * 301,
        "(" * 100,
    ],
)
def test_what_is_not_plain_gives_nothing(pattern):
    """Rather no text than a wrong one."""
    assert matching(pattern) is None


def test_lengths_are_kept():
    """Quantifiers stretch as far as the least length needs, and no text is longer than allowed."""
    assert matching("^[a-z]+$", least=8) == "a" * 8
    assert matching("^[a-z]{3}$", least=8) is None
    assert matching("^[a-z]{3}$", most=2) is None


PIECE = st.sampled_from(["a", "b", "[a-c]", "[^a]", r"\d", r"\w", r"\s", ".", "(a|b)", "(?:x)", "*", "+", "?", "{2}", "{1,3}", "{,2}", "|", "^", "$", "-", r"\.",
                         "(", ")", "[", "]", "\\", "é", "{", "}", "(?=a)", r"\1", r"\b"])  # fmt: skip


@given(pieces=st.lists(PIECE, max_size=6), least=st.integers(0, 4))
def test_whatever_is_made_matches(pieces, least):
    """A text is made for no expression that it does not match."""
    pattern = "".join(pieces)
    text = matching(pattern, least)
    if text is None:
        return
    assert len(text) >= least
    assert re.search(pattern, text), (pattern, text)
