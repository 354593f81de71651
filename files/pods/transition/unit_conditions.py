"""Let a marker file select whether NanoClaw v1 or v2 starts, so that a crash at any moment leaves one of them.

Writes a drop-in for each unit with conditions (systemd.unit(5), ConditionPathExists=) and enables v2:

    v1 starts while neither file exists; v2 starts while one of them exists.

`trying` exists while a migration has stopped v1 and v2 has not passed its gate; a crash removes it with /run. One
rename creates `marker` when v2 has passed. Both units stay enabled; v1's own unit file does not change.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys

from files.pods.common.atomic_write import replace
from files.pods.common.protocol import read_request
from files.pods.transition.protocol import ConditionsRequest
from files.pods.v1.protocol import Service
from files.pods.v1.units import ServiceError, drop_in, must

HEAD = "# nanoclaw-pods wrote this: which of v1 and v2 may start is decided by these files.\n[Unit]\n"


def has_content(path: str, text: str) -> bool:
    """Return whether a file has this text."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
            return file.read() == text
    except OSError:
        return False


def write_v1_drop_in(unit: Service, text: str) -> None:
    """Write v1's drop-in as the owner of its directory: root follows no path in a home."""
    path = drop_in(unit)
    if unit.uid is None:
        replace(path, text.encode())
        return
    account = pwd.getpwuid(unit.uid)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            replace(path, text.encode())
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1] != 0:
        raise ServiceError(f"user {account.pw_name} could not write {path}")


def main(request: ConditionsRequest) -> dict[str, list[str]]:
    """Write the drop-ins of both units and enable v2; return the files that changed."""
    changed = []
    v1, files = request.v1, (request.marker, request.trying)
    os.makedirs(os.path.dirname(request.marker), mode=0o755, exist_ok=True)
    if v1:
        text = HEAD + "".join(f"ConditionPathExists=!{path}\n" for path in files)
        if not has_content(drop_in(v1), text):
            write_v1_drop_in(v1, text)
            changed.append(drop_in(v1))
    v2 = Service(request.v2)
    text = HEAD + "".join(f"ConditionPathExists=|{path}\n" for path in files)
    if not has_content(drop_in(v2), text):
        replace(drop_in(v2), text.encode())
        changed.append(drop_in(v2))
    for unit in (v1, v2):
        if unit:
            must(unit, "daemon-reload")  # always: an earlier call may have missed it
    must(v2, "enable", v2.name)
    return {"changed": changed}


if __name__ == "__main__":
    try:
        print(json.dumps(main(read_request(ConditionsRequest))))
    except (ServiceError, OSError, subprocess.SubprocessError) as failure:
        sys.exit(str(failure))
