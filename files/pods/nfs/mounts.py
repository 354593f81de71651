"""State of the pods' mounts: live, in units and in fstab; and of the directories beneath them. Changes nothing.

Directories beneath a mount need root.

A dead server hangs each process that looks at its mount. So /proc is read first, and a child calls stat(2) on mounts;
it is abandoned if it blocks. A directory beneath a mount is read through a detached copy of the mount below
(open_tree(2)).
"""

from __future__ import annotations

import ipaddress
import json
import os
import stat
import subprocess
import sys
from typing import Any

from files.pods.common.linux import IMMUTABLE, inode_flags, open_tree
from files.pods.common.mountinfo import Mount, find_mount, is_remote, mount_table
from files.pods.common.protocol import print_reply, read_request
from files.pods.common.read_text import read_text_or_none
from files.pods.nfs import mount_state
from files.pods.nfs.mount_state import Beneath, FstabLine, MountState, Point, Unit
from files.pods.nfs.protocol import MountsRequest


def described(mount: Mount) -> mount_state.Mount:
    """Return a mount as the reply describes it."""
    options = [*mount.options, *(option for option in mount.more if option != "rw")]
    return mount_state.Mount(mount.source, mount.type, mount.root, options, is_remote(mount.type))


def bounded(argv: list[str], seconds: float) -> str | None:
    """Return the output of a command, or None if it does not end in time."""
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        return child.communicate(timeout=seconds)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        child.kill()
        return None


def beneath(path: str, table: list[Mount]) -> Beneath:
    """Return what a mount point contains below its mount."""
    parent = find_mount(os.path.dirname(path), [mount for mount in table if mount.point != path])
    if parent is None or is_remote(parent.type):
        return Beneath("remote")
    try:
        fd = open_tree(parent.point)
    except OSError as error:
        return Beneath("unknown", f"open_tree(2): {error.strerror} (it needs root and Linux 5.2)")
    here = parent.point.rstrip("/")
    for part in path[len(here) :].strip("/").split("/"):
        here += "/" + part
        try:
            mode = os.stat(part, dir_fd=fd, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(mode):
                return Beneath("link" if stat.S_ISLNK(mode) else "other", here)
            fd = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        except FileNotFoundError:
            return Beneath("absent")
    flags = inode_flags(fd)
    immutable = None if flags is None else bool(flags & IMMUTABLE)
    return Beneath("directory", immutable=immutable, entries=tuple(sorted(os.listdir(fd))[:20]))


CHILD = """
import errno, json, os, sys
answers = {}
for path in json.loads(sys.argv[1]):
    try:
        os.statvfs(path)
        info = os.stat(path)
        answers[path] = {"answer": "ok", "identity": f"{info.st_dev}:{info.st_ino}"}
    except OSError as error:
        kind = {errno.ESTALE: "stale", errno.ENOENT: "absent"}.get(error.errno, "error")
        answers[path] = {"answer": kind, "detail": error.strerror}
print(json.dumps(answers))
"""


def ask(paths: list[str]) -> dict[str, dict[str, Any]]:
    """Call stat(2) on paths in a child that is killed if it blocks."""
    if not paths:
        return {}
    output = bounded([sys.executable, "-I", "-c", CHILD, json.dumps(paths)], 15)
    return json.loads(output) if output else {path: {"answer": "silent"} for path in paths}


def units(names: dict[str, str]) -> dict[str, Unit]:
    """Return text and state of mount units."""
    properties = "Id,ActiveState,UnitFileState,NeedDaemonReload"
    output = bounded(["systemctl", "show", "--property", properties, "--", *names.values()], 30) or ""
    shown = {}
    for block in output.strip().split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        shown[values.get("Id", "")] = values
    states = {}
    for path, name in names.items():
        values = shown.get(name, {})
        states[path] = Unit(
            text=read_text_or_none("/etc/systemd/system/" + name),
            active=values.get("ActiveState", "unknown"),
            enabled=values.get("UnitFileState") == "enabled",
            needs_reload=values.get("NeedDaemonReload") == "yes",
        )
    return states


def addresses(source: str) -> list[str]:
    """Return the addresses of a source's server."""
    name = source.rpartition(":/")[0].strip("[]")
    if not name:
        return []
    try:
        return [str(ipaddress.ip_address(name))]
    except ValueError:
        output = bounded(["getent", "ahosts", name], 10) or ""
        return sorted({line.split()[0] for line in output.splitlines() if line})


def fstab(paths: list[str]) -> list[FstabLine]:
    """Return the lines for these mount points, as mount(8) reads them; none where there is no file (findmnt(8))."""
    listed = bounded(["findmnt", "--fstab", "--list", "--json", "--output", "SOURCE,TARGET,FSTYPE,OPTIONS"], 30)
    if listed is None:
        raise TimeoutError("findmnt --fstab did not answer")
    entries = []
    for entry in json.loads(listed or '{"filesystems": []}')["filesystems"]:
        path = entry["target"].rstrip("/")
        if path in paths:
            fields = [entry["source"], entry["target"], entry["fstype"], entry["options"] or ""]
            line = " ".join(field.replace(" ", "\\040") for field in fields if field)
            entries.append(FstabLine(line, entry["source"], path, fields[3].split(","), addresses(entry["source"])))
    return entries


def read_state(request: MountsRequest) -> MountState:
    """Return mounts, units, fstab entries and the state of each mount point."""
    table, pods = mount_table(), request.pods
    paths = [pods, *(target for _source, target in request.binds)]
    mounted = [path for path in paths if any(mount.point == path for mount in table)]
    sources = [source for source, _target in request.binds]
    answers = ask(list(dict.fromkeys([*mounted, *sources])))
    points = {}
    for path in paths:
        here = [described(mount) for mount in table if mount.point == path]
        state = {"answer": "ok", **answers.get(path, {})}
        points[path] = Point(mounts=here, beneath=beneath(path, table), **state)
    base = find_mount(pods, table)
    inside = pods[len(base.point.rstrip("/")) :] if base else ""
    return MountState(
        points=points,
        units=units(request.units),
        fstab=fstab(paths),
        stamp=read_text_or_none(request.stamp),
        tried=read_text_or_none(request.tried),
        base=described(base) if base else None,
        base_root=(base.root.rstrip("/") + inside) if base else inside,
        sources={source: answers[source].get("identity") for source in sources},
    )


if __name__ == "__main__":
    print_reply(read_state(read_request(MountsRequest)))
