"""The attacker: an agent's process, which makes hostile moves in its session until it has made enough.

It is told {"seed", "attempts", "session", "group", "common" (a directory outside that anybody writes in), "victims",
"huge" (entries), "depth" (levels), "seconds" (at most), "moves" (the only ones, or none), "counter" (a file to count
in)}. Paths but `victims` are relative to the working directory. It answers {"tried", "landed": {move: number}}. A move
that the kernel refused did not land and is no attempt. What it decides follows from the seed; how it meets the programs
does not.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXCHANGE = 2
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
DIRECTORIES = [f"d{n}" for n in range(8)]  # what the host process makes, again and again
FILES = [f"f{n}" for n in range(8)]
SPECIALS = [f"s{n}" for n in range(10)]  # what root made and nobody may be given
NAMES = [b"-rf", b"--reference=x", b"a\nb", b"\xff\xfe", b"x" * 255, b" ", b"$(id)", b"..."]
LEVELS = 150  # of the chain whose parts are moved; more than a walker keeps open
LIBC = ctypes.CDLL(None, use_errno=True)


def exchange(here: int, one: str, there: int, other: str) -> None:
    """Swaps two entries at once: there is no moment without either (renameat2(2)). Over NFS it takes three steps."""
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


class Attacker:
    """Its directories are held open, so that it finds them wherever they were moved to."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told, self.chance = told, random.Random(told["seed"])
        self.victims: str = told["victims"]
        self.own = f"own-{told['seed']}"
        self.common = os.open(told["common"], DIRECTORY)
        self.session = os.open(told["session"], DIRECTORY)
        self.above = os.open("..", DIRECTORY, dir_fd=self.session)
        self.name = Path(told["session"]).name
        self.group = os.open(told["group"], DIRECTORY)
        self.boxes = [os.open(name, DIRECTORY, dir_fd=self.session) for name in ("inbox", "outbox")]
        self.places = [self.session, *self.boxes, self.group]
        self.chain: list[int] = []
        with contextlib.suppress(OSError):
            self.prepare()

    def prepare(self) -> None:
        """What takes long to make: a chain to play with, a nest that is deeper than a path can be, a huge directory."""
        for levels, name in ((LEVELS, "chain"), (self.told["depth"], "nest")):
            above = self.session
            name = f"{name}-{self.told['seed']}"
            for level in range(levels):
                os.mkdir(name, dir_fd=above)
                below = os.open(name, DIRECTORY, dir_fd=above)
                if levels == LEVELS and level % 10 == 0:
                    self.chain.append(below)
                    os.close(os.open("secret", os.O_CREAT | os.O_WRONLY, dir_fd=below))
                elif above not in self.chain and above != self.session:
                    os.close(above)
                above, name = below, "c"
        os.mkdir(f"huge-{self.told['seed']}", dir_fd=self.common)
        huge = os.open(f"huge-{self.told['seed']}", DIRECTORY, dir_fd=self.common)
        for number in range(self.told["huge"]):
            os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, dir_fd=huge))
        os.close(huge)

    def wait(self) -> None:
        """Nothing, a chance for others, or about as long as a giver takes from a look to the next call."""
        pause = self.chance.choice((0.0, 0.0, 0.0, 0.00005, 0.0002, 0.001))
        if pause:
            time.sleep(pause)

    def swap(self, here: int, name: str, there: int, other: str) -> None:
        """Swaps two entries, and mostly back."""
        exchange(here, name, there, other)
        self.wait()
        if self.chance.random() < 0.8:
            with contextlib.suppress(OSError):
                exchange(here, name, there, other)

    def swap_with_link(self, here: int, name: str, target: str) -> None:
        """Swaps an entry with a link for a moment."""
        link = f"{self.own}-link"
        os.symlink(target, link, dir_fd=here)
        try:
            exchange(here, name, here, link)
            self.wait()
            exchange(here, name, here, link)
        finally:
            try:
                os.unlink(link, dir_fd=here)
            except IsADirectoryError:  # the host made something anew meanwhile
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=here)
                os.rename(link, name, src_dir_fd=here, dst_dir_fd=here)

    # Moves

    def directory_to_link(self) -> None:
        name = self.chance.choice(DIRECTORIES)
        target = self.chance.choice((self.victims, f"{self.victims}/{name}", f"{self.victims}/inner"))
        self.swap_with_link(self.chance.choice(self.places), name, target)

    def file_to_link(self) -> None:
        name = self.chance.choice(FILES)
        self.swap_with_link(self.chance.choice(self.places), name, f"{self.victims}/{name}")

    def slow_link(self) -> None:
        """Without an exchange: for a while there is nothing of that name."""
        here, name = self.chance.choice(self.places), self.chance.choice(DIRECTORIES)
        os.rename(name, f"{self.own}-away", src_dir_fd=here, dst_dir_fd=here)
        os.symlink(self.victims, name, dir_fd=here)
        self.wait()
        os.unlink(name, dir_fd=here)
        os.rename(f"{self.own}-away", name, src_dir_fd=here, dst_dir_fd=here)

    def box_to_link(self) -> None:
        self.swap_with_link(self.session, self.chance.choice(("inbox", "outbox")), f"{self.victims}/inbox")

    def session_to_link(self) -> None:
        self.swap_with_link(self.above, self.name, self.victims)

    def kinds(self) -> None:
        """A plain file becomes a set-id file, a device, a victim's second name, and is one again."""
        here, there = self.chance.choice(self.places), self.session
        self.swap(here, self.chance.choice(FILES), there, self.chance.choice(SPECIALS))

    def directory_to_file(self) -> None:
        here = self.chance.choice(self.places)
        self.swap(here, self.chance.choice(DIRECTORIES), here, self.chance.choice(FILES))

    def mounts(self) -> None:
        """A directory becomes one in which a victim is mounted."""
        self.swap(self.session, self.chance.choice(DIRECTORIES), self.session, "holder")

    def own_entry(self) -> None:
        """A pipe or a socket where something else is expected."""
        here, name = self.chance.choice(self.places), f"{self.own}-entry"
        if self.chance.random() < 0.5:
            os.mkfifo(name, dir_fd=here)
        else:
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(f"/proc/self/fd/{here}/{name}")
        try:
            self.swap(here, self.chance.choice(DIRECTORIES + FILES), here, name)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=here)

    def out_and_in(self) -> None:
        """A directory leaves the tree while it is walked, for one in which root has things of the same names."""
        here, name = self.chance.choice(self.places), self.chance.choice(DIRECTORIES)
        os.rename(name, self.own, src_dir_fd=here, dst_dir_fd=self.common)
        self.wait()
        os.rename(self.own, name, src_dir_fd=self.common, dst_dir_fd=here)

    def chain_game(self) -> None:
        """A chain comes where events tell of it, and while it is walked a part of it is moved up, out of the tree, or
        swapped with a link: the walker comes back by `..`.
        """
        head = f"chain-{self.told['seed']}"
        os.rename(head, head, src_dir_fd=self.session, dst_dir_fd=self.boxes[1])
        try:
            for _ in range(4):
                level = self.chance.randrange(len(self.chain))
                here, game = self.chain[level], self.chance.randrange(4)
                if game == 0:
                    self.swap_with_link(here, "c", f"{self.victims}/inner")
                    continue
                there = self.chain[self.chance.randrange(level + 1)] if game == 1 else self.common
                os.rename("c", f"{self.own}-c", src_dir_fd=here, dst_dir_fd=there)
                time.sleep(self.chance.random() * 0.004)
                os.rename(f"{self.own}-c", "c", src_dir_fd=there, dst_dir_fd=here)
        finally:
            os.rename(head, head, src_dir_fd=self.boxes[1], dst_dir_fd=self.session)

    def hammer(self) -> None:
        """An entry that the host makes often, and a link, as fast as can be: for what comes between look and call."""
        here, link = self.boxes[0], f"{self.own}-hammer"
        name = self.chance.choice((DIRECTORIES[0], FILES[0], FILES[0]))
        for _ in range(20):
            with contextlib.suppress(OSError):  # the host's entry may have taken the place of the link
                os.readlink(name, dir_fd=here)
                exchange(here, name, here, link)
            with contextlib.suppress(OSError):
                os.unlink(link, dir_fd=here)
            with contextlib.suppress(OSError):
                os.rename(link, f"{self.own}-{self.chance.randrange(10**9)}", src_dir_fd=here, dst_dir_fd=self.common)
            with contextlib.suppress(FileExistsError):
                os.symlink(f"{self.victims}/{name}", link, dir_fd=here)
            for _ in range(50):
                exchange(here, name, here, link)

    def names(self) -> None:
        here, name = self.chance.choice(self.places), self.chance.choice(DIRECTORIES + FILES)
        other = os.fsdecode(self.chance.choice(NAMES))
        os.rename(name, other, src_dir_fd=here, dst_dir_fd=here)
        self.wait()
        os.rename(other, name, src_dir_fd=here, dst_dir_fd=here)

    def hard_link(self) -> None:
        """A victim's second name, which the kernel refuses where fs.protected_hardlinks is on; else one's own."""
        here = self.chance.choice(self.places)
        with contextlib.suppress(OSError):
            os.link(f"{self.victims}/secret", f"{self.own}-secret", dst_dir_fd=here)
        os.link(self.chance.choice(FILES), f"{self.own}-link", src_dir_fd=here, dst_dir_fd=here)
        self.wait()
        os.unlink(f"{self.own}-link", dir_fd=here)

    def modes(self) -> None:
        here, name = self.chance.choice(self.places), self.chance.choice(DIRECTORIES + FILES)
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
        try:
            os.fchmod(handle, self.chance.choice((0, 0o777, 0o2777, 0o6755)))
            self.wait()
            os.fchmod(handle, 0o755)
        finally:
            os.close(handle)

    def flood(self) -> None:
        """Events in one's own outbox, as fast as one can."""
        for number in range(100):
            os.close(os.open(f"{self.own}-{number % 10}", os.O_CREAT | os.O_WRONLY, dir_fd=self.boxes[1]))
            os.unlink(f"{self.own}-{number % 10}", dir_fd=self.boxes[1])

    def huge(self) -> None:
        name = f"huge-{self.told['seed']}"
        os.rename(name, name, src_dir_fd=self.common, dst_dir_fd=self.boxes[1])
        time.sleep(self.chance.random() * 0.02)
        os.rename(name, name, src_dir_fd=self.boxes[1], dst_dir_fd=self.common)

    def discard(self) -> None:
        """Makes room for what the host makes: an entry that was given goes."""
        here, name = self.chance.choice(self.places), self.chance.choice(DIRECTORIES + FILES)
        if name in FILES:
            os.unlink(name, dir_fd=here)
            return
        for inner in ("inner/deep", "secret", "link"):
            with contextlib.suppress(OSError):
                os.unlink(f"{name}/{inner}", dir_fd=here)
        with contextlib.suppress(OSError):
            os.rmdir(f"{name}/inner", dir_fd=here)
        os.rmdir(name, dir_fd=here)

    def run(self) -> dict[str, Any]:
        often: list[Callable[[], None]] = [self.directory_to_link, self.file_to_link, self.kinds, self.box_to_link]
        often += [self.slow_link, self.session_to_link, self.directory_to_file, self.mounts, self.names]
        more = [self.own_entry, self.out_and_in, self.hard_link, self.modes, self.discard, self.chain_game]
        moves = often * 4 + more * 2 + [self.flood, self.huge, self.hammer]
        if self.told["moves"]:
            moves = [getattr(self, name) for name in self.told["moves"]]
        landed: Counter[str] = Counter()
        tried, count, end = 0, 0, time.monotonic() + self.told["seconds"]
        with Path(self.told["counter"]).open("r+b") as file, mmap.mmap(file.fileno(), 8) as counter:
            while count < self.told["attempts"] and time.monotonic() < end:
                move = self.chance.choice(moves)
                tried += 1
                try:
                    move()
                except OSError:
                    continue
                landed[move.__name__] += 1
                count += 1
                counter[:8] = count.to_bytes(8, "little")
        return {"tried": tried, "landed": dict(landed)}
