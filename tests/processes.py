"""Whether a process that a test ended is gone, and which files this one has open."""

from __future__ import annotations

import gc
import time
from pathlib import Path


def is_gone(pid: int, seconds: float = 20) -> bool:
    """Whether a process ends within this time.

    A killed process is still there for a moment, and closes its files before it ends. Afterwards it may stay as a
    zombie, since nobody may have waited for it.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False


def open_files() -> list[Path]:
    """Return this process's open files, without those of objects that nothing refers to any more."""
    gc.collect()
    return sorted(Path("/proc/self/fd").iterdir())
