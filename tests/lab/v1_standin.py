"""The stand-in NanoClaw v1 on a lab machine: installed as by v1's own setup, and used as by a chat."""

from __future__ import annotations

import base64
import io
import json
import shlex
import tarfile
import time
from pathlib import Path
from typing import Literal

from tests.lab import standin
from tests.lab.machine import Machine
from tests.lab.v1_schema import Version

How = Literal["system", "user", "nohup"]

SOURCES = Path(__file__).parent / "nanoclaw_v1"
_SHARED = {
    "container/image.sh": "container/build.sh",
    "container/Dockerfile": "container/Dockerfile",
    "src/sqlite.js": "src/sqlite.js",
}
"""Files that it shares with the stand-in of v2: its own path, and the path there."""


def files(version: Version) -> dict[str, tuple[bytes, int]]:
    """Return the files of the stand-in's code: content and mode by path below the project root."""
    own = {path.relative_to(SOURCES).as_posix(): path for path in SOURCES.rglob("*") if path.is_file()}
    shared = {path: standin.SOURCES / source for path, source in _SHARED.items()}
    tree = {
        path: (source.read_bytes(), 0o755 if source.suffix == ".sh" else 0o644)
        for path, source in (own | shared).items()
    }
    manifest = json.loads(tree["package.json"][0])
    tree["package.json"] = (json.dumps(manifest | {"version": version}, indent=2).encode() + b"\n", 0o644)
    return tree


def install(machine: Machine, root: str, version: Version, how: How, account: str = "root") -> None:
    """Copy the stand-in into `root`, and let its setup.sh install and start it.

    Creates a missing account in the group docker, which owns the files; for a user unit it gets linger. Existing data
    in `root` (database, groups, sessions, .env) and its owners stay; only the directory itself is chowned to the
    account. Code of the stand-in is replaced.
    """
    if (how == "system") != (account == "root") and how != "nohup":
        raise ValueError(f"a {how} unit is not installed by {account}")
    place, who = shlex.quote(root), shlex.quote(account)
    if account != "root":
        machine.run(f"id {who} >/dev/null 2>&1 || useradd --create-home --shell /bin/bash --groups docker {who}")
    machine.run(f"mkdir -p {place} && chown {who}: {place}")
    as_account(machine, f"cd {place} && base64 -d | tar -x -z", account, input=_packed(version))
    if how == "user":
        # At a boot it is logind that starts the managers of those who linger. The lab's image, unlike Debian, does not
        # start it before somebody asks for it.
        machine.run("systemctl add-wants multi-user.target systemd-logind.service")
        machine.run(f"loginctl enable-linger {who}")
        machine.wait_until_succeeds(f"test -S /run/user/$(id -u {who})/systemd/private")
    as_account(machine, f"cd {place} && ./setup.sh {how}", account)


def put_tree(machine: Machine, root: str, tree: Path, account: str = "root") -> None:
    """Copy a tree of tests.lab.v1_tree to `root` on a machine, with its links and times, owned by an account."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(tree, ".")
    place, who = shlex.quote(root), shlex.quote(account)
    unpack = f"mkdir -p {place} && base64 -d | tar -x -z --no-same-owner -C {place} && chown -R -h {who}: {place}"
    machine.run(unpack, input=base64.b64encode(packed.getvalue()).decode(), timeout=300)


def send_message(machine: Machine, root: str, text: str, *, folder: str = "main", timeout: int = 180) -> str:
    """Send `text` to the agent of a group, as the owner of the install, and return the answer.

    + timeout: seconds until the answer

    Raises an error of the lab without an answer.
    """
    argv = ["node", "dist/chat.js", "--folder", folder, "--timeout", str(timeout), "--", text]
    owner = machine.succeed(f"stat -c %U {shlex.quote(root)}").strip()
    return as_account(machine, f"cd {shlex.quote(root)} && {shlex.join(argv)}", owner, timeout=timeout + 60).strip()


def as_account(machine: Machine, command: str, account: str, *, input: str | None = None, timeout: float = 300) -> str:
    """Run a command with an account's home and, if there is one, its user manager; return the output."""
    inner = f'export HOME=$(getent passwd "$(id -u)" | cut -d: -f6) XDG_RUNTIME_DIR=/run/user/$(id -u); {command}'
    user = None if account == "root" else account
    return machine.run(inner, user=user, input=input, timeout=timeout).stdout


def _packed(version: Version) -> str:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, (content, mode) in sorted(files(version).items()):
            member = tarfile.TarInfo(path)
            member.size, member.mode, member.mtime = len(content), mode, int(time.time())
            tar.addfile(member, io.BytesIO(content))
    return base64.b64encode(packed.getvalue()).decode()
