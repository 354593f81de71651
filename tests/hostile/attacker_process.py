"""The process of an attacker: an agent with its session, and the ways in which it can swap entries.

Its order: {"seed", "attempts", "session", "group", "common" (a directory outside that everybody may write to),
"victims", "huge" (entries), "depth" (levels), "seconds" (at most), "moves" (the only ones, or none), "counter" (a file
to count in)}. Paths but `victims` are relative to the working directory.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import random
import time
from pathlib import Path
from typing import Any

EXCHANGE = 2
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
DIRECTORIES = [f"d{n}" for n in range(8)]  # what the host process makes, again and again
FILES = [f"f{n}" for n in range(8)]
SPECIALS = [f"s{n}" for n in range(10)]  # what root made and nobody may be given
NAMES = [b"-rf", b"--reference=x", b"a\nb", b"\xff\xfe", b"x" * 255, b" ", b"$(id)", b"..."]
LEVELS = 150  # of the chain that is moved in parts; more than a walker keeps open
LIBC = ctypes.CDLL(None, use_errno=True)


def exchange(here: int, one: str, there: int, other: str) -> None:
    """Swap two entries atomically (renameat2(2)). Over NFS it takes three steps."""
    if LIBC.renameat2(here, os.fsencode(one), there, os.fsencode(other), EXCHANGE) == 0:
        return
    if ctypes.get_errno() != errno.EINVAL:
        raise OSError(ctypes.get_errno(), "renameat2")
    aside = f"{one}-{os.getpid()}"
    os.rename(one, aside, src_dir_fd=here, dst_dir_fd=here)
    try:
        os.rename(other, one, src_dir_fd=there, dst_dir_fd=here)
    finally:
        os.rename(aside, other, src_dir_fd=here, dst_dir_fd=there)


class AttackerProcess:
    """Keeps its directories open, so that it reaches them wherever they were moved."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order, self.chance = order, random.Random(order["seed"])
        self.victims: str = order["victims"]
        self.own = f"own-{order['seed']}"
        self.common = os.open(order["common"], DIRECTORY)
        self.session = os.open(order["session"], DIRECTORY)
        self.above = os.open("..", DIRECTORY, dir_fd=self.session)
        self.name = Path(order["session"]).name
        self.group = os.open(order["group"], DIRECTORY)
        self.boxes = [os.open(name, DIRECTORY, dir_fd=self.session) for name in ("inbox", "outbox")]
        self.places = [self.session, *self.boxes, self.group]
        self.chain: list[int] = []
        with contextlib.suppress(OSError):
            self.prepare()

    def prepare(self) -> None:
        """Create what takes long: a chain of directories, a nest deeper than a path can be, a huge directory."""
        for levels, name in ((LEVELS, "chain"), (self.order["depth"], "nest")):
            above = self.session
            name = f"{name}-{self.order['seed']}"
            for level in range(levels):
                os.mkdir(name, dir_fd=above)
                below = os.open(name, DIRECTORY, dir_fd=above)
                if levels == LEVELS and level % 10 == 0:
                    self.chain.append(below)
                    os.close(os.open("secret", os.O_CREAT | os.O_WRONLY, dir_fd=below))
                elif above not in self.chain and above != self.session:
                    os.close(above)
                above, name = below, "c"
        os.mkdir(f"huge-{self.order['seed']}", dir_fd=self.common)
        huge = os.open(f"huge-{self.order['seed']}", DIRECTORY, dir_fd=self.common)
        for number in range(self.order["huge"]):
            os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, dir_fd=huge))
        os.close(huge)

    def wait(self) -> None:
        """Wait not at all, for one turn of the scheduler, or about as long as a program needs from a check to its
        chown.
        """
        pause = self.chance.choice((0.0, 0.0, 0.0, 0.00005, 0.0002, 0.001))
        if pause:
            time.sleep(pause)

    def swap(self, here: int, name: str, there: int, other: str) -> None:
        """Swap two entries, and usually swap them back."""
        exchange(here, name, there, other)
        self.wait()
        if self.chance.random() < 0.8:
            with contextlib.suppress(OSError):
                exchange(here, name, there, other)

    def swap_with_link(self, here: int, name: str, target: str) -> None:
        """Swap an entry with a link for a moment."""
        link = f"{self.own}-link"
        os.symlink(target, link, dir_fd=here)
        try:
            exchange(here, name, here, link)
            self.wait()
            exchange(here, name, here, link)
        finally:
            if not self.put_away(here, link):  # the host made something anew meanwhile
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=here)
                os.rename(link, name, src_dir_fd=here, dst_dir_fd=here)

    def put_away(self, here: int, name: str) -> bool:
        """Remove an entry of the agent, or what has replaced it; return False if it is a directory."""
        try:
            os.unlink(name, dir_fd=here)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def throw_out(self, here: int, name: str) -> None:
        """Remove an entry; move a directory out of the tree."""
        if not self.put_away(here, name):
            with contextlib.suppress(OSError):
                os.rename(name, f"{self.own}-{self.chance.randrange(10**9)}", src_dir_fd=here, dst_dir_fd=self.common)
