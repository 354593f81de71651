"""Text of others on a terminal: printable, short, and still distinct."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.common.sanitize import escape_control


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, 東京 ü", "plain, 東京 ü"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b\x7f", "\\x9b\\x7f"),
        ("\u202e\u2028", "\\u202e\\u2028"),
        ("caf\udce9", "caf\\xe9"),
        ("\\x1b", "\\x1b"),
        ("", ""),
    ],
)
def test_what_a_terminal_would_act_on_is_escaped(text: str, shown: str) -> None:
    assert escape_control(text) == shown


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_text_becomes_short_and_printable(text: str) -> None:
    assert escape_control(text).isprintable() and len(escape_control(text)) <= 200


def test_long_text_is_cut() -> None:
    assert escape_control("x" * 200) == "x" * 200
    assert escape_control("x" * 201) == "x" * 200
    assert len(escape_control("\0" * 100)) == 200
