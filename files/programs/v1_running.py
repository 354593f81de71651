"""What runs a NanoClaw v1: units in both managers, processes, its pid file, its containers.

For programs that import it. Nothing is started by looking: neither a user's manager nor Docker.
"""

from __future__ import annotations

import glob
import os
import pwd
import re
import subprocess
from typing import Any

from files.programs.careful import text_of
from files.programs.printable import shown

SYSTEM_UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
USER_UNITS = ".config/systemd/user"
PROGRAMS = ("dist/index.js", "src/index.ts")
DOCKER_PIDS = ("/run/docker.pid", "/run/snap.docker/docker.pid")


def settings_of(text: str) -> dict[str, str]:
    """What a unit says that NanoClaw's own setup writes into it (systemd.exec(5)); the last one counts."""
    said = dict(re.findall(r"^(WorkingDirectory|User)=-?(\S.*?)\s*$", text, re.MULTILINE))
    home = re.findall(r"^Environment=\"?HOME=([^\s\"]+)", text, re.MULTILINE)
    return {**said, **({"HOME": home[-1]} if home else {})}


def runs(text: str, root: str) -> bool:
    where = settings_of(text).get("WorkingDirectory", "").rstrip("/")
    return (where != "" and os.path.realpath(where) == root) or f"{root}/dist/index.js" in text.split()


def units(root: str, homes: list[str]) -> list[dict[str, Any]]:
    """The services of this machine that run the project root."""
    found: dict[str, dict[str, Any]] = {}
    for manager, directory in [("system", place) for place in SYSTEM_UNITS] + [
        ("user", f"{home}/{USER_UNITS}") for home in homes
    ]:
        for path in sorted(glob.glob(f"{glob.escape(directory)}/*.service")):
            text = text_of(path, follow=True) or ""
            if runs(text, root):
                found.setdefault(os.path.realpath(path), unit(manager, path, settings_of(text)))
    return list(found.values())


def unit(manager: str, path: str, said: dict[str, str]) -> dict[str, Any]:
    directory, name = os.path.split(path)
    owner = None if manager == "system" else os.stat(directory)
    wanted = directory if owner else "/etc/systemd/system"
    return {
        "manager": manager,
        "name": shown(name),
        "file": shown(path),
        "uid": owner.st_uid if owner else uid_of(said.get("User", "root")),
        "home": said.get("HOME"),
        "enabled": any(os.path.lexists(f"{place}/{name}") for place in glob.glob(f"{glob.escape(wanted)}/*.wants")),
        "active": state_of(name, (owner.st_uid, owner.st_gid) if owner else None),
    }


def uid_of(user: str) -> int | None:
    try:
        return int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def state_of(name: str, user: tuple[int, int] | None) -> str:
    """The unit's state as its manager says it (systemctl(1)), "unknown" if that does not answer, or "no manager"."""
    words = ["systemctl", *(["--user"] if user else []), "show", "--property=ActiveState", "--value", name]
    who: dict[str, Any] = {}
    if user:
        runtime = f"/run/user/{user[0]}"
        if not os.path.exists(f"{runtime}/systemd/private"):
            return "no manager"
        environment = {"XDG_RUNTIME_DIR": runtime, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        who = {"user": user[0], "group": user[1], "extra_groups": [], "env": environment}
    try:
        asked = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, cwd="/", check=False, **who
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return asked.stdout.strip() or "unknown"


def processes(root: str | None) -> list[dict[str, Any]]:
    """What runs from a project root (None: from any), and by which service; what is in containers does not count."""
    found = []
    files = os.readlink("/proc/self/ns/mnt")
    for path in glob.glob("/proc/[0-9]*"):
        try:
            with open(path + "/cmdline", encoding="utf-8", errors="replace") as file:
                words = file.read().split("\0")[:4]
            if not any(word.endswith(PROGRAMS) for word in words):
                continue
            with open(path + "/cgroup", encoding="utf-8", errors="replace") as file:
                group = file.read().strip().rpartition(":")[2]
            here, uid, same = os.readlink(path + "/cwd"), os.stat(path).st_uid, os.readlink(path + "/ns/mnt") == files
        except OSError:
            continue  # gone
        name = group.rpartition("/")[2]
        service = name if name.endswith(".service") else None
        if (same or service) and (root is None or root == here or f"{root}/dist/index.js" in words):
            manager = "user" if "/user@" in group else "system"
            pid = int(os.path.basename(path))
            found.append({"pid": pid, "uid": uid, "directory": here, "manager": manager, "unit": service})
    return found


def pid_file(root: str) -> dict[str, Any] | None:
    """What start-nanoclaw.sh left: the process that it noted; `processes` says whether that is v1."""
    path = f"{root}/nanoclaw.pid"
    if not os.path.lexists(path):
        return None
    noted = (text_of(path) or "").strip()
    return {"file": shown(path), "pid": int(noted) if re.fullmatch("[0-9]{1,9}", noted) else None}


def containers() -> list[str] | None:
    """The agents that run, none of them v2's; None where Docker does not say so soon."""
    if not any(map(os.path.exists, DOCKER_PIDS)):
        return []
    form = '{{.Names}}\t{{.Label "nanoclaw-install"}}'
    words = ["docker", "ps", "--filter", "name=nanoclaw-", "--format", form]
    try:
        asked = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5, cwd="/", check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = [line.partition("\t") for line in asked.stdout.splitlines()]
    return sorted(shown(name) for name, _, label in lines if name.startswith("nanoclaw-") and not label)


def running(root: str, homes: list[str]) -> dict[str, Any]:
    """What tasks.model.migration.found.Install has of what runs."""
    return {
        "units": units(root, homes),
        "processes": [{**process, "directory": shown(process["directory"])} for process in processes(root)],
        "pid_file": pid_file(root),
        "containers": containers(),
    }
