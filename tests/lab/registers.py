"""Support for processors with AMX: a library between the guest kernel and ptrace(2), built when it is needed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.lab.paths import cache
from tests.lab.requirements import has_amx
from tests.lab.shell import call

SOURCE = Path(__file__).with_suffix(".c")


def preloaded() -> dict[str, str]:
    """Return the environment that a guest kernel needs on this processor."""
    return {"LD_PRELOAD": str(library())} if has_amx() else {}


def library() -> Path:
    """Return the path of the library; compile it first if its source changed or it is missing."""
    path = cache() / f"registers-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(".new")
        call(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(made), str(SOURCE)])
        made.rename(path)
    return path
