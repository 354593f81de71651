"""Where the lab keeps things."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
LABS = PROJECT / "build" / "lab"
RUNTIME = Path("/run/nanoclaw-pods")
"""What all labs of this machine share, and sockets: their paths must be short. Empty after a reboot, as labs are."""


def cache() -> Path:
    """The folder of images, which outlives a checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "nanoclaw-pods"


def short_id(state: Path) -> str:
    """A short name for a lab's state folder, unique on this machine."""
    return hashlib.sha256(str(state).encode()).hexdigest()[:8]


def guest_memory_folder(needed_mib: int) -> Path:
    """Where guests keep their memory: a tmpfs when it is large enough and lets code run, else the disk."""
    for folder in (Path("/dev/shm"), Path("/tmp")):
        if not folder.is_dir():
            continue
        stat = os.statvfs(folder)
        if not stat.f_flag & os.ST_NOEXEC and stat.f_bavail * stat.f_frsize >> 20 > needed_mib:
            return folder
    return Path("/var/tmp")
