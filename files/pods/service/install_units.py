"""Install unit files that systemd-analyze accepts, and have systemd read them.

Standard input: {path: text}. Ignores what systemd-analyze says of other units. If systemd does not load the unit then,
the last good files come back. A new user of the unit gets the lists of the user before; the files of fixed names that
the user before has in /tmp are removed.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile

from files.pods.common.atomic_write import replace
from files.pods.common.protocol import read_request
from files.pods.common.run_command import run_command
from files.pods.service.mount_allowlist import copy_allowlist
from files.pods.service.protocol import InstallUnitsRequest
from files.pods.source.tmp_leftovers import remove_leftovers


def run(*args: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a deadline."""
    return run_command(args, timeout=90, stderr=subprocess.STDOUT)


def complaints(texts: dict[str, str], unit: str) -> list[str]:
    """What systemd-analyze says of these files. The temporary directory comes first in its search path."""
    place = tempfile.mkdtemp(prefix="nanoclaw-pods.")
    try:
        names = []
        for path, text in texts.items():
            staged = os.path.join(place, os.path.relpath(path, "/etc/systemd/system"))
            os.makedirs(os.path.dirname(staged), exist_ok=True)
            with open(staged, "w", encoding="utf-8") as file:
                file.write(text)
            names.append(staged)
        checked = run("systemd-analyze", "verify", "--man=no", *(name for name in names if name.endswith(".service")))
        lines = checked.stdout.splitlines()
        return [line for line in lines if place in line or line.startswith(unit + ":")]
    finally:
        shutil.rmtree(place)


def old_content(path: str) -> bytes | None:
    """Return the content of a file, or None."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def runs_as(unit: str) -> int | None:
    """Whom a service runs as by the unit that systemd has so far: root where it names nobody (systemd.exec(5))."""
    shown = run("systemctl", "show", "--property=LoadState,User", unit).stdout
    properties = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    user = properties.get("User") or "root"
    try:
        return pwd.getpwnam(user).pw_uid if properties.get("LoadState") == "loaded" else None
    except KeyError:
        return None


def load(unit: str) -> str:
    """Has systemd read all units again; says what is wrong with this one then, or nothing."""
    reloaded = run("systemctl", "daemon-reload")
    if reloaded.returncode != 0:
        return reloaded.stdout
    state = run("systemctl", "show", "--value", "--property=LoadState", unit).stdout.strip()
    return "" if state == "loaded" else f"its load state is {state}"


def main() -> None:
    """Check, install and load the files; restore the old ones on failure."""
    request = read_request(InstallUnitsRequest)
    unit = request.unit
    texts: dict[str, str] = json.load(sys.stdin)
    wrong = complaints(texts, unit)
    if wrong:
        sys.exit("\n".join([f"{unit} was not changed: systemd-analyze says", *wrong]))
    ran_as = runs_as(unit)
    if ran_as not in (None, request.uid):
        copy_allowlist(ran_as, request.user, request.uid, request.gid)
        remove_leftovers(ran_as)
    before = {path: old_content(path) for path in texts}
    for path, text in texts.items():
        replace(path, text.encode())
    refused = load(unit)
    if not refused:
        return
    for path, content in before.items():
        if content is None:
            os.unlink(path)
        else:
            replace(path, content)
    load(unit)
    sys.exit(f"{unit} was restored, because systemd refused the change: {refused}")


if __name__ == "__main__":
    main()
