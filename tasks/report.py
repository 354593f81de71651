"""What an operation tells the operator beside its result: diffs under `--diff`, and counts with samples."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pyinfra import host, state

from tasks.model.sanitize import printable

_kept: ContextVar[list[str] | None] = ContextVar("kept", default=None)


@contextmanager
def kept_back() -> Iterator[list[str]]:
    """Collect the output of operations in a list, and print nothing."""
    lines: list[str] = []
    token = _kept.set(lines)
    try:
        yield lines
    finally:
        _kept.reset(token)


def show_diff(path: str, old: str | None, new: str | None) -> None:
    """Print the change of a file that is not secret, under `--diff` and once a run.

    With a check phase the change is shown there; a run with `-y` has none and shows it when it executes.
    """
    if _kept.get() is not None or not state.config.DIFF or (state.is_executing and state.check_for_changes):
        return
    before = (old or "").splitlines(keepends=True)
    after = (new or "").splitlines(keepends=True)
    for line in difflib.unified_diff(before, after, f"{path} (current)", f"{path} (desired)"):
        host.log(printable(line.rstrip("\n"), "\t"))


def show_reasons(title: str, reasons: list[str]) -> None:
    """Print under `--diff` why something changes. Where output is kept, keep each reason."""
    kept = _kept.get()
    if kept is not None:
        kept.extend(reasons)
        return
    show_diff(title, None, "".join(f"{reason}\n" for reason in reasons))


def say(line: str) -> None:
    """Print a line once a run: in the check phase where there is one, else when the operation executes."""
    kept = _kept.get()
    if kept is not None:
        kept.append(line)
    elif not (state.is_executing and state.check_for_changes):
        log(line)


def log(text: str) -> None:
    """Print text of a machine: each line with the machine's name, so that none passes for another machine's."""
    for line in text.splitlines() or [""]:
        host.log(printable(line, "\t"))
