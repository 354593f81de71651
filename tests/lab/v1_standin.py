"""The stand-in NanoClaw v1 on a lab machine: installed as v1's own setup would, and asked as a chat would ask it."""

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
"""What it has of the later stand-in: by its own path, that one's."""


def files(version: Version) -> dict[str, tuple[bytes, int]]:
    """Each file of the stand-in's code, by its path below the project root: content and mode."""
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
    """Puts the stand-in into `root`, has its setup.sh install it and start it.

    An account that the machine does not have is made, in the group docker, and owns the files; for a user unit it
    lingers. What is in `root` already (database, groups, sessions, .env) stays, and so do the owners of it; only the
    directory itself is given to the account. Code of the stand-in is replaced.
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
    """Puts a tree that tests.lab.v1_tree has made to `root` on a machine, with its links and times, as an account's."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(tree, ".")
    place, who = shlex.quote(root), shlex.quote(account)
    unpack = f"mkdir -p {place} && base64 -d | tar -x -z --no-same-owner -C {place} && chown -R -h {who}: {place}"
    machine.run(unpack, input=base64.b64encode(packed.getvalue()).decode(), timeout=300)


def ask(machine: Machine, root: str, text: str, *, folder: str = "main", timeout: int = 180) -> str:
    """Says `text` to the agent of a group, as the owner of the install; its answer, or an error of the lab.

    `timeout` is in seconds, until the answer is there.
    """
    argv = ["node", "dist/chat.js", "--folder", folder, "--timeout", str(timeout), "--", text]
    owner = machine.succeed(f"stat -c %U {shlex.quote(root)}").strip()
    return as_account(machine, f"cd {shlex.quote(root)} && {shlex.join(argv)}", owner, timeout=timeout + 60).strip()


def as_account(machine: Machine, command: str, account: str, *, input: str | None = None, timeout: float = 300) -> str:
    """What a command prints that runs with an account's home and, where it has one, its user manager."""
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
