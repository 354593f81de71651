"""Search for existing sessions and groups that the agent cannot write to.

The kernel answers for the agent's ids: access(2) and open(2) from within each directory. So permissions of parent
directories do not count, which a container does not see. Nothing is written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator

from files.pods.probe import timeouts
from files.pods.probe.protocol import Refused, Surveyed

MAX_SAMPLES = 5
MAX_JOURNALS = 1000  # that are kept
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
VANISHED_ERRNOS = (errno.ENOENT, errno.ESTALE, errno.ENOTDIR, errno.ELOOP)
OPEN_HARMLESS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_folders(parent_fd: int) -> Iterator[tuple[str, int]]:
    """Yield name and descriptor of each directory in a directory; follow no link."""
    with os.scandir(parent_fd) as entries:
        for entry in entries:
            if entry.name.startswith(".nanoclaw-pods-probe-"):
                continue
            try:
                if not entry.is_dir(follow_symlinks=False):
                    continue
                fd = os.open(entry.name, OPEN_FOLDER, dir_fd=parent_fd)
            except OSError:
                continue  # gone, or nothing that root itself may look into; the agent is asked about its parent
            try:
                yield entry.name, fd
            finally:
                os.close(fd)


@contextlib.contextmanager
def ignore_vanished() -> Iterator[None]:
    """Ignore errors of a directory that agents or the host removed meanwhile."""
    try:
        yield
    except OSError as error:
        if error.errno not in VANISHED_ERRNOS:
            raise


class Survey:
    """Counts what an agent cannot write. Run it in a process of its own: it changes the ids of the process."""

    def __init__(self, agent: tuple[int, int], view: str = "", seconds: float = timeouts.SURVEY_END) -> None:
        self.view = view  # where the trees are seen
        self.end = time.monotonic() + seconds
        self.complete = True
        self.uid, gid = agent
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        self.sessions = self.groups = self.refused = 0
        self.samples: list[Refused] = []
        self.journals: list[str] = []

    def read(self, sessions: str, groups: str) -> Surveyed:
        """Check all sessions and groups; return the counts."""
        for name, fd in self.below(sessions):
            with ignore_vanished():
                for inner, session in open_folders(fd):
                    if self.is_over():
                        break
                    with ignore_vanished():
                        self.read_directory(f"{sessions}/{name}/{inner}", session)
        for name, fd in self.below(groups):
            if self.is_over():
                break
            with ignore_vanished():
                self.check(f"{groups}/{name}", fd, [])
                self.groups += 1
        return Surveyed(self.sessions, self.groups, self.refused, self.samples, self.journals, self.complete)

    def is_over(self) -> bool:
        """Return whether the deadline has passed."""
        self.complete &= time.monotonic() < self.end
        return not self.complete

    def read_directory(self, path: str, directory: int) -> None:
        """Check one directory, if it is a session or an agent's home."""
        if path.endswith("/.claude-shared"):
            self.check(path, directory, [])
        elif {"inbound.db", "outbound.db"} & set(os.listdir(directory)):
            self.check(path, directory, ["outbound.db"])
            self.find_journals(path, directory)
            self.sessions += 1

    def below(self, path: str) -> Iterator[tuple[str, int]]:
        """Yield the directories in a directory of the view."""
        try:
            fd = os.open(self.view + path, OPEN_FOLDER)
        except FileNotFoundError:
            return
        try:
            yield from open_folders(fd)
        finally:
            os.close(fd)

    def check(self, path: str, directory: int, databases: list[str]) -> None:
        """Check a directory and some databases in it as the agent."""
        os.fchdir(directory)
        os.setresuid(self.uid, self.uid, 0)
        try:
            if not os.access(".", os.W_OK | os.X_OK):
                self.refuse(path, ".", errno.EACCES)
            for name in databases:
                try:
                    os.close(os.open(name, os.O_RDWR | OPEN_HARMLESS))
                except FileNotFoundError:
                    pass  # the host makes it before it starts a container
                except OSError as error:
                    self.refuse(path, name, error.errno or 0)
        finally:
            os.setresuid(0, 0, 0)
            os.chdir("/")

    def refuse(self, path: str, name: str, number: int) -> None:
        """Count an entry that the agent cannot write; ignore it if it is gone."""
        os.setresuid(0, 0, 0)
        info = os.stat(name, follow_symlinks=False)  # raises where it is gone: then nothing was refused
        os.setresuid(self.uid, self.uid, 0)
        self.refused += 1
        if len(self.samples) < MAX_SAMPLES:
            refused_path = path if name == "." else f"{path}/{name}"
            owner = (info.st_uid, info.st_gid)
            self.samples.append(Refused(refused_path, errno.errorcode.get(number, "?"), owner))

    def find_journals(self, path: str, directory: int) -> None:
        """Note the journals of a session that are not empty."""
        for name in ("inbound.db-journal", "outbound.db-journal"):
            try:
                size = os.stat(name, dir_fd=directory, follow_symlinks=False).st_size
                if size > 0 and len(self.journals) < MAX_JOURNALS:
                    self.journals.append(f"{path}/{name}")
            except OSError:
                pass
