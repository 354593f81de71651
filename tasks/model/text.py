"""Text that a machine takes: UTF-8, of one line, and no longer than execve(2) and the file system allow."""

import unicodedata

from tasks.model.problem import WrongValueError

VALUE_BYTES = 32_768
ALL_BYTES = 65_536
"""Of the variables of one setting: execve(2) takes 128 KiB for one, and a command that holds them is no longer."""
COMMAND_BYTES = 16_384


def plain_text(value: str, accepts: str) -> str:
    """`value`, if it is one line of UTF-8 that execve(2) takes; a WrongValueError otherwise."""
    kinds = set(map(unicodedata.category, value))
    if "Cs" in kinds:
        raise WrongValueError(
            "not-utf-8", f"{accepts} in UTF-8; this holds bytes that are none (a variable of the run's environment?)"
        )
    if kinds & {"Cc", "Zl", "Zp"}:
        raise WrongValueError("control-characters", f"{accepts}, without control characters")
    if len(value.encode()) > VALUE_BYTES:
        raise WrongValueError("value-too-long", f"{accepts} of at most {VALUE_BYTES} bytes")
    return value


def environment(value: dict[str, str]) -> dict[str, str]:
    """`value`, if all its variables together are short enough; a WrongValueError otherwise."""
    size = sum(len(name) + len(text.encode()) + 2 for name, text in value.items())
    if size > ALL_BYTES:
        raise WrongValueError("variables-too-long", f"variables of at most {ALL_BYTES} bytes in all; these are {size}")
    return value


def command(value: list[str]) -> list[str]:
    """`value`, if all its words together are short enough; a WrongValueError otherwise."""
    size = sum(len(word.encode()) + 1 for word in value)
    if size > COMMAND_BYTES:
        raise WrongValueError("command-too-long", f"a command of at most {COMMAND_BYTES} bytes; this has {size}")
    return value


def word(value: str) -> str:
    """`value`, if it is UTF-8; a WrongValueError otherwise."""
    if any(unicodedata.category(c) == "Cs" for c in value):
        raise WrongValueError(
            "word-not-utf-8", "a word in UTF-8; this holds bytes that are none (a variable of the run's environment?)"
        )
    return value
