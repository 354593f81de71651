"""The host process as root: creates entries in hostile sessions all the time, so that there is always something to
chown.

It uses open directories and follows no link, so that it harms no victim itself.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable
from multiprocessing.sharedctypes import Synchronized

from tests.hostile.attacker_process import DIRECTORIES, DIRECTORY, FILES
from tests.hostile.place import BIND, Place, mount, unmount

MOUNTS = 40
"""One of so many entries is a victim that is mounted on a directory created a moment ago."""


def make_directory(here: int, name: str) -> int:
    """Create a directory of root with something in it, as an inbox gets one for each message."""
    os.mkdir(name, dir_fd=here)
    made = os.open(name, DIRECTORY, dir_fd=here)
    os.mkdir("inner", dir_fd=made)
    for inner in ("secret", "inner/deep"):
        with contextlib.suppress(OSError):  # the directory may be the agent's by now, and `inner` a link
            os.close(os.open(inner, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, dir_fd=made))
    return made


def make_file(here: int, name: str) -> None:
    """Create a file of root that replaces the former one, by a temporary file."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(f"{name}.tmp", os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=here))
    os.rename(f"{name}.tmp", name, src_dir_fd=here, dst_dir_fd=here)


def mount_there(place: Place, here: int, name: str, chance: random.Random) -> None:
    """Mount a victim on a new directory, as an operator would, while the agent swaps what is around it."""
    os.mkdir(name, dir_fd=here)
    handle = os.open(name, DIRECTORY, dir_fd=here)
    try:
        mount(str(place.bound), f"/proc/self/fd/{handle}", "", BIND)
    finally:
        os.close(handle)
    time.sleep(chance.random() * 0.01)
    top = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=here)
    try:
        unmount(f"/proc/self/fd/{top}")
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=here)


def run(place: Place, seed: int, mounting: bool, stop: Callable[[], bool], made: Synchronized[int]) -> None:
    """Create entries until `stop`; `made` counts them."""
    chance = random.Random(seed)
    handles, inboxes = [], []
    for session, group in place.ways:
        inboxes.append(os.open(session / "inbox", DIRECTORY))
        handles += [inboxes[-1], *(os.open(path, DIRECTORY) for path in (session, session / "outbox", group))]
    while not stop():
        if made.value % 4 == 0:
            time.sleep(0.001)
        often = chance.random() < 0.5
        here = chance.choice(inboxes if often else handles)
        with contextlib.suppress(OSError):
            if mounting and place.mounted and chance.randrange(MOUNTS) == 0:
                mount_there(place, here, "m0", chance)
            elif chance.random() < 0.5:
                os.close(make_directory(here, DIRECTORIES[0] if often else chance.choice(DIRECTORIES)))
            else:
                make_file(here, FILES[0] if often else chance.choice(FILES))
        made.value += 1
