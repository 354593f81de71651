"""What a service took in at its last start: for programs that import it."""

from __future__ import annotations

import hashlib

from files.programs.reading import read


def digest(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def outdated(inputs: list[str], started: str) -> list[str] | None:
    """The inputs whose digest is another one than the last start noted, as sha256sum(1) prints it."""
    text = read(started)
    if text is None:
        return None
    noted = {path: hexadecimal for hexadecimal, _, path in (line.partition("  ") for line in text.splitlines())}
    return [path for path in inputs if noted.get(path) != digest(path)]
