"""Paths of the lab."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
LABS = PROJECT / "build" / "lab"
RUNTIME = Path("/run/nanoclaw-pods")
"""Files that all labs of this machine share, and sockets: these paths must be short. Empty after a reboot."""


def cache() -> Path:
    """Return the folder of images, which outlives a checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "nanoclaw-pods"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two labs build or allocate one after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def short_id(state: Path) -> str:
    """Return a short name for a lab's state folder, unique on this machine."""
    return hashlib.sha256(str(state).encode()).hexdigest()[:8]


def guest_memory_folder(needed_mib: int) -> Path:
    """Return the folder for the memory of guests: a tmpfs that is large enough and not noexec, else the disk."""
    for folder in (Path("/dev/shm"), Path("/tmp")):
        if not folder.is_dir():
            continue
        stat = os.statvfs(folder)
        if not stat.f_flag & os.ST_NOEXEC and stat.f_bavail * stat.f_frsize >> 20 > needed_mib:
            return folder
    return Path("/var/tmp")
