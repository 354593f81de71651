"""The directories of a scenario: trees with hostile sessions, victims beside them, and mounts."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import stat
from pathlib import Path

from tests.hostile.attacker_process import DIRECTORIES, DIRECTORY, FILES
from tests.hostile.invariants import Invariants

AGENT, OTHER = 1000, 33
BIND, DETACH = 4096, 2
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int) -> None:
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), None)
    if LIBC.mount(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"mount {source} on {target}: {os.strerror(ctypes.get_errno())}")


def unmount(target: str) -> None:
    if LIBC.umount2(os.fsencode(target), DETACH) != 0:
        raise OSError(ctypes.get_errno(), f"umount {target}: {os.strerror(ctypes.get_errno())}")


def lookalike(place: Path) -> None:
    """Create a victim of root with all the names of a session, so that a misled program finds what it looks for."""
    place.mkdir(parents=True, exist_ok=True)
    for box in (place, place / "inbox", place / "outbox"):
        for name in (*DIRECTORIES, "inner", "c", "c/c", "c/c/c", "c/inner"):
            (box / name / "inner").mkdir(parents=True, exist_ok=True)
            for inner in ("secret", "inner/deep"):
                (box / name / inner).write_text("root's")
        for name in (*FILES, "secret"):
            (box / name).write_text("root's")
            (box / name).chmod(0o600)


class Place:
    """`sessions` and `groups` are the trees; `outside` lies outside of both."""

    def __init__(self, sessions: Path, groups: Path, outside: Path, hostile: int) -> None:
        self.sessions, self.groups, self.outside = sessions, groups, outside
        self.victims, self.common, self.bound = outside / "victims", outside / "common", outside / "bound"
        self.ways = [(sessions / f"hostile-{n}" / "sess", groups / f"hostile-{n}") for n in range(hostile)]
        self.invariants = Invariants()
        self.mounted: list[str] = []
        self.why_not_mounted = ""

    def build(self, mounts: bool) -> None:
        """Create everything. The sessions belong to the agent already."""
        for path in (self.victims, self.common, self.bound):
            lookalike(path)
        (self.outside / "other").write_text("another user's")
        os.chown(self.outside / "other", OTHER, OTHER)
        self.common.chmod(0o1777)
        for session, group in self.ways:
            for path in (session / "inbox", session / "outbox", session / "holder", group):
                path.mkdir(parents=True, exist_ok=True)
            for path in (session.parent, session, session / "inbox", session / "outbox", session / "holder", group):
                os.chown(path, AGENT, AGENT)
        if mounts:
            self._mount()
        else:
            self.why_not_mounted = "not asked for, or no mount namespace of its own"
        for number, (session, _group) in enumerate(self.ways):
            self._specials(session, number)
        for path in (self.victims, self.bound, self.common):
            handle = os.open(path, DIRECTORY)
            self.invariants.keep_all(path.name, handle, still=path != self.common)
            os.close(handle)
        outside = os.open(self.outside, DIRECTORY)
        self.invariants.keep("other", outside, "other", still=True)
        os.close(outside)

    def _mount(self) -> None:
        """Mount a tmpfs in one session, and a victim in each session, as a directory and as a file."""
        try:
            for session, _group in self.ways:
                for name in ("holder/bound", "memory"):
                    (session / name).mkdir()
                    os.chown(session / name, AGENT, AGENT)
                (session / "holder" / "secret").write_text("")
                os.chown(session / "holder" / "secret", AGENT, AGENT)
                self._mounted(str(self.bound), session / "holder" / "bound", "", BIND)
                self._mounted(str(self.bound / "secret"), session / "holder" / "secret", "", BIND)
                self._mounted("none", session / "memory", "tmpfs", 0)
                lookalike(session / "memory")
                handle = os.open(session / "memory", DIRECTORY)
                self.invariants.keep_all("memory", handle, still=True)
                os.close(handle)
        except OSError as error:
            self.why_not_mounted = str(error)

    def _mounted(self, source: str, target: Path, kind: str, flags: int) -> None:
        mount(source, str(target), kind, flags)
        self.mounted.append(str(target))

    def _specials(self, session: Path, number: int) -> None:
        """Create entries of root in a session that no program may chown. The attacker may only move them."""
        for name in ("linked-0", "linked-1"):  # as whoever forges NFS requests can link a file that is not theirs
            (self.outside / f"{name}-{number}").write_text("root's")
        os.link(self.outside / f"linked-0-{number}", session / "s0")
        os.link(self.outside / f"linked-1-{number}", session / "s1")
        for name, mode in (("s2", 0o4755), ("s3", 0o2755), ("s4", 0o6755)):
            (session / name).write_text("")
            (session / name).chmod(mode)
        os.mkfifo(session / "s5")
        with socket.socket(socket.AF_UNIX) as bound:
            handle = os.open(session, DIRECTORY)
            bound.bind(f"/proc/self/fd/{handle}/s6")
        os.mknod(session / "s7", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(session / "s8", stat.S_IFBLK | 0o660, os.makedev(7, 0))
        (session / "s9").write_text("another user's")
        os.chown(session / "s9", OTHER, OTHER)
        for name in (f"s{n}" for n in range(10)):
            self.invariants.keep(f"{session}/{name}", handle, name, still=False)
        os.close(handle)

    def unmount_all(self) -> None:
        """Unmount everything, wherever the attacker has moved it."""
        with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="surrogateescape") as table:
            points = [line.split()[4] for line in table]
        for point in reversed(points):
            if point.startswith((f"{self.sessions}/", f"{self.groups}/", f"{self.outside}/")):
                unmount(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point))
