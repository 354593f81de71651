"""The programs of a stage's dependencies: for programs that import it.

pnpm makes a shell script of each (node_modules/.bin), which names the modules of its project by their whole path. After
the switch the stage is gone. So a script names the project root, where it will lie.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from files.pods.common.atomic_write import replace
from files.pods.common.read_untrusted import read_untrusted_bytes
from files.pods.source.stage_place import stage_of

LARGEST = 64 << 10
BIN = ".bin"


def move_shims(root: str) -> int:
    """Make the scripts of the stage name the project root; return how many there were."""
    stage, count = stage_of(root), 0
    old, new = f"{stage}/".encode(), f"{root}/".encode()
    for path in scripts(f"{stage}/node_modules"):
        text = read_untrusted_bytes(path, max_bytes=LARGEST)
        if old in text:
            replace(path, text.replace(old, new), stat.S_IMODE(os.lstat(path).st_mode))
            count += 1
    return count


def scripts(modules: str) -> Iterator[str]:
    """Yield small regular files of each .bin below a directory; links are not followed."""
    for folder, names, files in os.walk(modules):
        if os.path.basename(folder) != BIN:
            continue
        names.clear()
        for name in files:
            info = os.lstat(f"{folder}/{name}")
            if stat.S_ISREG(info.st_mode) and info.st_size <= LARGEST:
                yield f"{folder}/{name}"
