"""Invariants: what no program may change, whatever an agent does. Each entry is kept open, so moves do not hide it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field

HELD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

EntryState = tuple[int, int, int, int]
"""uid, gid, mode, and the time of the last change in ns, or 0 where others may change the entry's names."""


@dataclass
class Invariants:
    """Protected entries, with their state at the start."""

    held: list[tuple[str, int, bool, EntryState]] = field(default_factory=list)

    def keep(self, label: str, directory: int, name: str, *, still: bool) -> None:
        """Protect an entry. `still`: only root can move it, so not even its ctime may change."""
        handle = os.open(name, HELD, dir_fd=directory)
        self.held.append((label, handle, still, entry_state(handle, still)))

    def keep_all(self, label: str, directory: int, *, still: bool) -> None:
        """Protect an open directory and everything below it."""
        for above, folders, files, handle in os.fwalk(".", dir_fd=directory):
            for name in folders + files:
                self.keep(os.path.normpath(f"{label}/{above}/{name}"), handle, name, still=still)
        self.keep(label, directory, ".", still=still)

    def broken(self) -> list[str]:
        """Return each difference as a text."""
        violations = []
        for label, handle, still, before in self.held:
            if (now := entry_state(handle, still)) != before:
                violations.append(f"{label}: uid, gid, mode, ctime were {_shown(before)} and are {_shown(now)}")
        return violations

    def close(self) -> None:
        for _label, handle, _still, _entry in self.held:
            os.close(handle)
        self.held.clear()


def entry_state(fd: int, still: bool) -> EntryState:
    now = os.fstat(fd)
    return now.st_uid, now.st_gid, now.st_mode, now.st_ctime_ns if still else 0


def _shown(of: EntryState) -> str:
    return f"{of[0]} {of[1]} {of[2]:o} {of[3]}"


def left_over(tree: str) -> list[str]:
    """Return what a walk should have chowned but did not: plain entries of root or nobody with one name."""
    plain = ["(", "-type", "d", "-o", "-type", "l", "-o", "-type", "f", "-links", "1", "!", "-perm", "/6000", ")"]
    argv = ["find", tree, "-xdev", "(", "-uid", "0", "-o", "-uid", "65534", ")", *plain, "-print0"]
    listing = subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout
    return [os.fsdecode(name)[-200:] for name in listing.split(b"\0") if name]
