"""The attacker: an agent's process, which makes hostile moves in its session until enough of them succeeded.

A move that the kernel refused does not count. The seed decides which moves it makes; the timing differs in each run.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.attacker_process import DIRECTORIES, FILES, NAMES, SPECIALS, AttackerProcess, exchange


class Attacker(AttackerProcess):
    """Each method but `run` is a move, and raises an OSError if it failed."""

    def directory_to_link(self) -> None:
        name = self.chance.choice(DIRECTORIES)
        target = self.chance.choice((self.victims, f"{self.victims}/{name}", f"{self.victims}/inner"))
        self.swap_with_link(self.chance.choice(self.places), name, target)

    def file_to_link(self) -> None:
        name = self.chance.choice(FILES)
        self.swap_with_link(self.chance.choice(self.places), name, f"{self.victims}/{name}")

    def slow_link(self) -> None:
        """Replace a directory with a link in several steps, so that for a moment no entry has its name."""
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
        """Swap a plain file with a set-id file, a device, or a second name of a victim, and back."""
        here, there = self.chance.choice(self.places), self.session
        self.swap(here, self.chance.choice(FILES), there, self.chance.choice(SPECIALS))

    def directory_to_file(self) -> None:
        here = self.chance.choice(self.places)
        self.swap(here, self.chance.choice(DIRECTORIES), here, self.chance.choice(FILES))

    def mounts(self) -> None:
        """Swap a directory with one in which a victim is mounted."""
        self.swap(self.session, self.chance.choice(DIRECTORIES), self.session, "holder")

    def own_entry(self) -> None:
        """Put a pipe or a socket where something else is expected."""
        here, name = self.chance.choice(self.places), f"{self.own}-entry"
        if self.chance.random() < 0.5:
            os.mkfifo(name, dir_fd=here)
        else:
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(f"/proc/self/fd/{here}/{name}")
        try:
            self.swap(here, self.chance.choice(DIRECTORIES + FILES), here, name)
        finally:
            self.throw_out(here, name)

    def out_and_in(self) -> None:
        """Move a directory out of the tree during the walk, into one in which root has entries of the same names, and
        back.
        """
        here, name = self.chance.choice(self.places), self.chance.choice(DIRECTORIES)
        aside = f"{self.own}-{self.chance.randrange(10**9)}"
        os.rename(name, aside, src_dir_fd=here, dst_dir_fd=self.common)
        self.wait()
        os.rename(aside, name, src_dir_fd=self.common, dst_dir_fd=here)

    def chain_game(self) -> None:
        """Move a chain of directories to where events report it, and parts of it up, out of the tree, or behind a link
        during the walk: the walker returns by `..`.
        """
        head = f"chain-{self.order['seed']}"
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
        """Swap an entry that the host often creates with a link, fast enough to hit a gap between check and call."""
        here, link = self.boxes[0], f"{self.own}-hammer"
        name = self.chance.choice((DIRECTORIES[0], FILES[0], FILES[0]))
        for _ in range(20):
            with contextlib.suppress(OSError):  # the host's entry may have taken the place of the link
                os.readlink(name, dir_fd=here)
                exchange(here, name, here, link)
            self.throw_out(here, link)
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
        """Add a second name to a victim, which the kernel refuses with fs.protected_hardlinks, or to an own file."""
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
        """Cause events in the agent's own outbox, as fast as possible."""
        for number in range(100):
            os.close(os.open(f"{self.own}-{number % 10}", os.O_CREAT | os.O_WRONLY, dir_fd=self.boxes[1]))
            os.unlink(f"{self.own}-{number % 10}", dir_fd=self.boxes[1])

    def huge(self) -> None:
        name = f"huge-{self.order['seed']}"
        os.rename(name, name, src_dir_fd=self.common, dst_dir_fd=self.boxes[1])
        time.sleep(self.chance.random() * 0.02)
        os.rename(name, name, src_dir_fd=self.boxes[1], dst_dir_fd=self.common)

    def discard(self) -> None:
        """Delete an entry that was chowned, so that the host can create it again."""
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
        """Make moves until enough succeeded. Return {"tried", "landed": {move: number}}."""
        often: list[Callable[[], None]] = [self.directory_to_link, self.file_to_link, self.kinds, self.box_to_link]
        often += [self.slow_link, self.session_to_link, self.directory_to_file, self.mounts, self.names]
        more = [self.own_entry, self.out_and_in, self.hard_link, self.modes, self.discard, self.chain_game]
        moves = often * 4 + more * 2 + [self.flood, self.huge, self.hammer]
        if self.order["moves"]:
            moves = [getattr(self, name) for name in self.order["moves"]]
        landed: Counter[str] = Counter()
        tried, count, end = 0, 0, time.monotonic() + self.order["seconds"]
        with Path(self.order["counter"]).open("r+b") as file, mmap.mmap(file.fileno(), 8) as counter:
            while count < self.order["attempts"] and time.monotonic() < end:
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
