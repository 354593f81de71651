"""What an agent could not write of the sessions and groups that exist: for programs that import it.

The kernel answers, as the agent: access(2) and open(2) from within each directory, so that the rights of the
directories above do not count (a container does not see them). Nothing is written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from typing import Any

SAMPLE = 5
JOURNALS = 1000  # that are kept
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
VANISHED = (errno.ENOENT, errno.ESTALE, errno.ENOTDIR, errno.ELOOP)
HARMLESS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def folders(above: int) -> Iterator[tuple[str, int]]:
    """The directories in a directory, open; links are not followed."""
    with os.scandir(above) as entries:
        for entry in entries:
            if entry.name.startswith(".nanoclaw-pods-probe-"):
                continue
            try:
                if not entry.is_dir(follow_symlinks=False):
                    continue
                handle = os.open(entry.name, FOLDER, dir_fd=above)
            except OSError:
                continue  # gone, or nothing that root itself may look into; the agent is asked about its parent
            try:
                yield entry.name, handle
            finally:
                os.close(handle)


@contextlib.contextmanager
def may_vanish() -> Iterator[None]:
    """For what is done with one directory: agents and hosts remove some while they are looked at."""
    try:
        yield
    except OSError as error:
        if error.errno not in VANISHED:
            raise


class Survey:
    """Counts what an agent cannot write. To be used in a process of its own: it changes the process's ids."""

    def __init__(self, agent: tuple[int, int], view: str = "", seconds: float = 100) -> None:
        self.view = view  # where the trees are seen
        self.end = time.monotonic() + seconds  # agents can add sessions as fast as they are looked at
        self.complete = True
        self.uid, gid = agent
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        self.sessions = self.groups = self.refused = 0
        self.samples: list[dict[str, Any]] = []
        self.journals: list[str] = []

    def look(self, sessions: str, groups: str) -> dict[str, Any]:
        for name, handle in self.below(sessions):
            with may_vanish():
                for inner, session in folders(handle):
                    if self.is_over():
                        break
                    with may_vanish():
                        self.look_into(f"{sessions}/{name}/{inner}", session)
        for name, handle in self.below(groups):
            if self.is_over():
                break
            with may_vanish():
                self.check(f"{groups}/{name}", handle, [])
                self.groups += 1
        return {
            "sessions": self.sessions,
            "groups": self.groups,
            "refused": self.refused,
            "samples": self.samples,
            "journals": self.journals,
            "complete": self.complete,
        }

    def is_over(self) -> bool:
        self.complete &= time.monotonic() < self.end
        return not self.complete

    def look_into(self, path: str, directory: int) -> None:
        if path.endswith("/.claude-shared"):
            self.check(path, directory, [])
        elif {"inbound.db", "outbound.db"} & set(os.listdir(directory)):
            self.check(path, directory, ["outbound.db"])
            self.find_journals(path, directory)
            self.sessions += 1

    def below(self, path: str) -> Iterator[tuple[str, int]]:
        try:
            handle = os.open(self.view + path, FOLDER)
        except FileNotFoundError:
            return
        try:
            yield from folders(handle)
        finally:
            os.close(handle)

    def check(self, path: str, directory: int, databases: list[str]) -> None:
        os.fchdir(directory)
        os.setresuid(self.uid, self.uid, 0)
        try:
            if not os.access(".", os.W_OK | os.X_OK):
                self.refuse(path, ".", errno.EACCES)
            for name in databases:
                try:
                    os.close(os.open(name, os.O_RDWR | HARMLESS))
                except FileNotFoundError:
                    pass  # the host makes it before it starts a container
                except OSError as error:
                    self.refuse(path, name, error.errno or 0)
        finally:
            os.setresuid(0, 0, 0)
            os.chdir("/")

    def refuse(self, path: str, name: str, number: int) -> None:
        os.setresuid(0, 0, 0)
        found = os.stat(name, follow_symlinks=False)  # raises where it is gone: then nothing was refused
        os.setresuid(self.uid, self.uid, 0)
        self.refused += 1
        if len(self.samples) < SAMPLE:
            owner = [found.st_uid, found.st_gid]
            shown = path if name == "." else f"{path}/{name}"
            self.samples.append({"path": shown, "error": errno.errorcode.get(number, "?"), "owner": owner})

    def find_journals(self, path: str, directory: int) -> None:
        for name in ("inbound.db-journal", "outbound.db-journal"):
            try:
                size = os.stat(name, dir_fd=directory, follow_symlinks=False).st_size
                if size > 0 and len(self.journals) < JOURNALS:
                    self.journals.append(f"{path}/{name}")
            except OSError:
                pass
