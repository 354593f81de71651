"""What systemctl show prints, read as systemd means it."""

from __future__ import annotations

import pytest

from files.pods.common.systemctl import parse_environment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("A=b C=d=e", {"A": "b", "C": "d=e"}),
        ("A= word", {"A": ""}),
        ('"A=b c" D=e', {"A": "b c", "D": "e"}),
        (r'"A=\n\t\r\a\b\f\v"', {"A": "\n\t\r\a\b\f\v"}),
        (r'"A=\"\\\s\'"', {"A": "\"\\s'"}),
        (r'"A=\x41\101\x7a"', {"A": "AAz"}),
        ('"A=1\n2"', {"A": "1\n2"}),
        ("A=1 A=2", {"A": "2"}),
    ],
)
def test_environment_has_the_escapes_of_c(text: str, expected: dict[str, str]) -> None:
    assert parse_environment(text) == expected
