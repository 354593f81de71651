"""The processes that run a project root of NanoClaw, outside of containers."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

ENTRIES = ("dist/index.js", "src/index.ts", "dist/index", "src/index", "dist")
NAMES = tuple(entry.rpartition("/")[2] for entry in ENTRIES)
NODES = re.compile(r"(node|nodejs|bun|deno|tsx)[0-9.]*$")
READERS = {
    *("vi", "vim", "nvim", "nano", "emacs", "less", "more", "tail", "head", "cat"),
    *("grep", "rg", "sed", "git", "ls"),
}
PROC_BYTES = 1 << 17


def file_of(pid: str, name: str) -> bytes:
    """Return the start of a file in /proc/PID."""
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read(PROC_BYTES)


def runs_root(argv: list[str], here: str, root: str) -> bool:
    """Whether an argv starts the project root with Node, by any option and path.

    + here: the working directory of the process
    """
    program = os.path.basename(argv[0])
    if program in READERS:
        return False
    for word in argv:
        if word.endswith(NAMES):
            path = os.path.realpath(os.path.join(here, word))
            if path in [f"{root}/{entry}" for entry in ENTRIES]:
                return True
        elif NODES.match(program) and os.path.realpath(os.path.join(here, word)) == root and not word.startswith("-"):
            return True  # "node .": the root's package.json says what that is
    return False


def user_of(pid: str) -> int:
    """Return the real uid of a process. The owner of /proc/PID is root if the process is not dumpable (proc(5))."""
    match = re.search(rb"^Uid:\s+([0-9]+)", file_of(pid, "status"), re.MULTILINE)
    return int(match[1]) if match else 0


def writes(pid: str, path: str) -> bool:
    """Whether a process has a file open for writing."""
    for number in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):  # closed meanwhile
            if os.readlink(f"/proc/{pid}/fd/{number}") == path:
                flags = re.search(rb"^flags:\s+([0-7]+)", file_of(pid, f"fdinfo/{number}"), re.MULTILINE)
                return flags is None or int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False


def service_of(group: str) -> tuple[str, int | None, str | None]:
    """Return the manager, its user and the service of a control group (cgroups(7), systemd.slice(5))."""
    parts = group.strip("/").split("/")
    if not re.search(r"\.(slice|service|scope)$", parts[0]):
        return "system", None, None  # of another machine in this one, or of nothing
    for number, part in enumerate(parts):
        user = re.fullmatch(r"user@([0-9]+)\.service", part)
        names = [one for one in parts[number + 1 :] if one.endswith(".service")]
        if user:
            return "user", int(user[1]), names[0] if names else None
        if part.endswith(".service"):
            return "system", None, part
    return "system", None, None


def home_in(environment: bytes) -> str | None:
    values = re.findall(rb"(?:^|\0)HOME=([^\0]*)", environment)
    return os.fsdecode(values[0]) if values else None


def root_processes(
    root: str | None, able: Callable[[int], bool], database: str | None = "store/messages.db"
) -> list[dict[str, Any]]:
    """Return processes that run a project root (None: any) or have its database open for writing, with their service.

    Skips processes in other mount namespaces, which are containers', but for those of a service.

    + able: whether a user may run one; skips other users' processes, unless root's manager runs them
    """
    processes = []
    ours = os.readlink("/proc/self/ns/mnt")
    for pid in map(os.path.basename, glob.glob("/proc/[0-9]*")):
        with suppress(OSError):  # gone
            manager, of, service = service_of(file_of(pid, "cgroup").decode().strip().rpartition(":")[2])
            uid = user_of(pid)
            if not (service and manager == "system") and not able(uid):
                continue
            argv = [os.fsdecode(word) for word in file_of(pid, "cmdline").split(b"\0")[:200] if word]
            here = os.readlink(f"/proc/{pid}/cwd")
            roots = roots_in(argv, here) if root is None else []
            runs = roots or (
                root and argv and (runs_root(argv, here, root) or (database and writes(pid, f"{root}/{database}")))
            )
            if runs and (service or os.readlink(f"/proc/{pid}/ns/mnt") == ours):
                one = {"pid": int(pid), "uid": uid, "directory": here, "manager": manager, "of": of, "unit": service}
                processes.append({**one, "roots": roots, "home": home_in(file_of(pid, "environ"))})
    return processes


def roots_in(argv: list[str], here: str) -> list[str]:
    """Return all project roots that an argv starts."""
    paths = [os.path.realpath(os.path.join(here, word)) for word in argv if word.endswith(NAMES[:2])]
    return [path[: -len(entry) - 1] for path in paths for entry in ENTRIES[:2] if path.endswith(f"/{entry}")]
