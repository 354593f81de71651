"""The inside of tests.unit.service.managers: it becomes the machine's systemd, and a child queries it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

PLACES = ("/run", "/home", "/opt", "/root", "/srv", "/etc/systemd", "/usr/local/lib", "/var/lib/systemd")
CGROUPS = "/sys/fs/cgroup"
CLONE_NEWCGROUP = 0x02000000
USER_MANAGER = """\
[Unit]
DefaultDependencies=no
[Service]
User=%i
Slice=user-%i.slice
Type=notify
Delegate=yes
KillMode=mixed
Environment=XDG_RUNTIME_DIR=/run/user/%i
ExecStart=/lib/systemd/systemd --user --log-target=null
"""


def mount(*args: str) -> None:
    subprocess.run(["mount", *args], check=True)


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def furnish(request: dict[str, Any]) -> None:
    mount("--make-rprivate", "/")
    for place in PLACES:
        mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", place)
    mount("-t", "tmpfs", "tmpfs", CGROUPS)
    mount("-t", "cgroup2", "cgroup2", CGROUPS)
    group = Path(CGROUPS, f"test-{os.getpid()}-{time.monotonic_ns()}")
    group.mkdir()
    (group / "cgroup.procs").write_text("0")
    assert ctypes.CDLL(None).unshare(CLONE_NEWCGROUP) == 0
    subprocess.run(["umount", CGROUPS], check=True)
    mount("-t", "cgroup2", "cgroup2", CGROUPS)  # of the group alone
    users = "".join(f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n" for name, (uid, home) in request["users"].items())
    groups = "".join(f"{name}:x:{uid}:\n" for name, (uid, _) in request["users"].items())
    for name, more in (("passwd", users), ("group", groups)):
        write(f"/run/{name}", f"root:x:0:{'0::/root:/bin/sh' if name == 'passwd' else ''}\n{more}")
        mount("--bind", f"/run/{name}", f"/etc/{name}")
    Path("/opt/bin").mkdir()
    Path("/opt/bin/node").symlink_to(Path("/usr/bin/python3").resolve())
    units = {"basic.target": "", "multi-user.target": "", "shutdown.target": "", "sysinit.target": ""}
    for name, text in units.items():
        write(f"/etc/systemd/system/{name}", f"[Unit]\nDefaultDependencies=no\n{text}")
    write("/etc/systemd/system/user@.service", USER_MANAGER)
    for path, text in request["files"].items():
        write(path, text)
        if text.startswith("#!"):
            Path(path).chmod(0o755)
    for path, target in request["links"].items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).symlink_to(target)
    for _, home in request["users"].values():
        Path(home).mkdir(parents=True, exist_ok=True)
    for path, uid in request["owners"].items():
        subprocess.run(["chown", "-Rh", f"{uid}:{uid}", path], check=True)
    for name in request["lingering"]:
        write(f"/var/lib/systemd/linger/{name}", "")


def start_user(uid: int) -> None:
    """A user's manager, started as by systemd's own unit, without PAM."""
    Path(f"/run/user/{uid}").mkdir(mode=0o700, parents=True)
    os.chown(f"/run/user/{uid}", uid, uid)
    subprocess.run(["systemctl", "start", f"user@{uid}.service"], check=True)
    wait_for(f"/run/user/{uid}/systemd/private")


def wait_for(path: str) -> None:
    end = time.monotonic() + 20
    while not Path(path).exists():
        assert time.monotonic() < end, path
        time.sleep(0.02)


def ask(request: dict[str, Any]) -> dict[str, Any]:
    wait_for("/run/systemd/private")
    environment = {"PATH": "/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    os.environ.clear()
    os.environ.update(environment)
    for uid in request["running"]:
        start_user(uid)
    for command in request["first"]:
        subprocess.run(["bash", "-c", command], check=True, timeout=30, stdin=subprocess.DEVNULL)
    sys.path.insert(0, request["repository"])
    names: dict[str, Any] = {}
    exec(request["code"], names)
    return {"value": names["answer"]}


def main(request: dict[str, Any]) -> None:
    machine = os.getpid()
    furnish(request)
    if os.fork() == 0:
        try:
            reply = ask(request)
        except BaseException:
            reply = {"error": traceback.format_exc()}
        new = request["said"] + ".new"
        Path(new).write_text(json.dumps(reply), encoding="utf-8")
        Path(new).rename(request["said"])
        os.kill(machine, signal.SIGRTMIN + 14)  # systemd(1): exit at once
        os._exit(0)
    environment = {"container": "lxc", "SYSTEMD_UNIT_PATH": "/etc/systemd/system:/usr/local/lib/systemd/system"}
    argv = ["systemd", "--system", "--unit=basic.target", "--log-target=null", "--show-status=no"]
    os.execve("/lib/systemd/systemd", argv, {"PATH": "/usr/bin:/bin", **environment})


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
