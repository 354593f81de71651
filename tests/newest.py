"""`python -m tests.newest`: says in one line whether the role works with the newest pyinfra that pip can get.

What is pinned is what the tests ran with. Where a newer release is out, the tests that need no machines run with it in
an environment of its own. It only says: its exit code is 0 whatever it finds, also without a network.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
ENVIRONMENT = PROJECT / "build" / "newest"
TESTS = ("tests/unit", "tests/fixtures", "tests/fake", "--ignore=tests/unit/lab")
"""What depends on pyinfra and needs no machine."""

INPUTS = ("requirements.in", "requirements-test.in")
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
ASK = (*PIP, "install", "--dry-run", "--ignore-installed", "--no-deps", "--report", "-", "pyinfra")
INSTALL_SECONDS, TEST_SECONDS = 600, 1200


class UnknownError(Exception):
    """Something that could not be found out, in a line."""


def pinned(lock: str) -> str:
    """The version of pyinfra in the text of requirements.lock."""
    match = re.search(r"^pyinfra==(\S+)", lock, re.MULTILINE)
    if not match:
        raise UnknownError("requirements.lock names no pyinfra")
    return match[1]


def reported(report: str) -> str:
    """The version in pip's report of what it would install."""
    try:
        return str(json.loads(report)["install"][0]["metadata"]["version"])
    except (ValueError, LookupError, TypeError):
        raise UnknownError("pip's report names no version") from None


def requirements(text: str, version: str) -> list[str]:
    """The requirements in the text of the `.in` files, but with this pyinfra and without options of pip."""
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "-"))]
    return [f"pyinfra=={version}" if re.match(r"pyinfra\b(?!-)", line) else line for line in lines]


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip("= ") for line in reversed(text.splitlines()) if line.strip("= ")), "no word of why")


def run(argv: Sequence[str], seconds: float) -> str:
    """The output of a command; an UnknownError with its last line where it fails."""
    try:
        done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnknownError(str(error)) from None
    if done.returncode != 0:
        raise UnknownError(last_line(done.stderr or done.stdout))
    return done.stdout


def prepare(version: str) -> str:
    """An environment with this pyinfra; returns its Python."""
    python = str(ENVIRONMENT / "bin" / "python")
    run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], INSTALL_SECONDS)
    text = "".join((PROJECT / name).read_text(encoding="utf-8") for name in INPUTS)
    run([python, *PIP, "install", *requirements(text, version)], INSTALL_SECONDS)
    return python


def verdict() -> str:
    """What there is to say."""
    try:
        ours = pinned((PROJECT / "requirements.lock").read_text(encoding="utf-8"))
        newest = reported(run([sys.executable, *ASK], 60))
    except UnknownError as unknown:
        return f"pyinfra (newest): could not be found out: {unknown}"
    if newest == ours:
        return f"pyinfra {ours} (pinned) is the newest"
    try:
        python = prepare(newest)
    except UnknownError as unknown:
        return f"pyinfra {newest} (newest): could not be tried: {unknown}"
    try:
        run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS], TEST_SECONDS)
    except UnknownError as failed:
        return f"pyinfra {newest} (newest): fails: {failed}"
    return f"pyinfra {newest} (newest): works"


if __name__ == "__main__":
    print(verdict())
