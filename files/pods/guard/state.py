"""State of the guard's program, unit and process on a machine."""

from __future__ import annotations

import hashlib
import os

from files.pods.common.protocol import print_reply, read_request
from files.pods.common.systemctl import unit_properties
from files.pods.guard.protocol import GuardState, GuardStateRequest

request = read_request(GuardStateRequest)


def read(path: str) -> bytes | None:
    """Return the content of a file, or None if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def older(program: str) -> list[str]:
    """Return other versions of the guard's program; an early one was named guard.py."""
    folder = os.path.dirname(program)
    names = os.listdir(folder) if os.path.isdir(folder) else []
    versions = [name for name in names if name == "guard.py" or (name.startswith("guard-") and name.endswith(".pyz"))]
    return sorted(f"{folder}/{name}" for name in versions if f"{folder}/{name}" != program)


shown = unit_properties(request.unit, "ActiveState", "UnitFileState", "NeedDaemonReload", "MainPID")
unit, program = read(request.unit_file), read(request.program)
pid = shown.get("MainPID", "0")
line = (read(f"/proc/{pid}/cmdline") or b"") if pid != "0" else b""
folder = os.path.dirname(request.unit_file)
names = os.listdir(folder) if os.path.isdir(folder) else []
others = [name for name in names if name.startswith(request.prefix) and name.endswith(".service")]
print_reply(
    GuardState(
        program=hashlib.sha256(program).hexdigest() if program is not None else None,
        unit=unit.decode("utf-8", "replace") if unit is not None else None,
        enabled=shown.get("UnitFileState") == "enabled",
        active=shown.get("ActiveState") in ("active", "activating", "reloading"),
        needs_reload=shown.get("NeedDaemonReload") == "yes",
        running=line.decode("utf-8", "replace").split("\0")[:-1],
        others=sorted(set(others) - {request.unit}),
        older=older(request.program),
    )
)
