"""How an NFS server treats the host process, the agent and root: each creates a directory, which is then removed.

The export is mounted softly in a private mount namespace: no other process uses that mount, and a dead server costs
`seconds`. No symbolic link of the export is followed.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from typing import Any

from files.pods.common.linux import LIBC, MS_NOSUID_NODEV, MS_NOSYMFOLLOW, check, mount_tmpfs, unshare_mounts
from files.pods.common.protocol import decode, print_reply, read_request
from files.pods.common.run_as_ids import Ids, run_as
from files.pods.nfs.protocol import Actor, ObserveRequest, ServerObservation

request = read_request(ObserveRequest)
MOUNTED = "/tmp/pods"
PREFIX = ".nanoclaw-pods-observed-"
NAME = f"{PREFIX}{uuid.uuid4().hex[:12]}"
STALE = 3600
"""Seconds after which a scratch directory is that of a run which was killed, and not of one beside this."""
DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
END = time.monotonic() + request.seconds
OBSERVED_BY = END - request.seconds / 4
"""When each actor must be done: the rest of the time is for the removal of their directories."""

Scratch = tuple[str, str]
"""A place of the export, and the name of a directory in it."""


def mount_options() -> list[str]:
    """Return options of a soft mount that shares no cache."""
    address, version, transport = request.address, request.version, request.transport
    options = [f"vers={version}", f"addr={address}", f"proto={transport}", "soft", "timeo=50", "retrans=1"]
    if version == "3":
        return [*options, "nosharecache", f"mountaddr={address}", f"mountproto={transport}", "nolock"]
    return [*options, "nosharecache", f"clientaddr={'::' if ':' in address else '0.0.0.0'}"]


def mount_softly() -> None:
    """Mount the export in a private mount namespace."""
    address, version = request.address, request.version
    unshare_mounts()
    mount_tmpfs()
    os.mkdir(MOUNTED)
    source = f"[{address}]:{request.path}" if ":" in address else f"{address}:{request.path}"
    kind = b"nfs" if version == "3" else b"nfs4"
    options = ",".join(mount_options()).encode()
    check(LIBC.mount(source.encode(), MOUNTED.encode(), kind, MS_NOSUID_NODEV | MS_NOSYMFOLLOW, options))


def as_ids(ids: Ids, end: float, work: Any) -> Any:
    """Return what `work` returns in a child with these ids, or the errno's name; ETIMEDOUT at `end` (monotonic)."""
    left = end - time.monotonic()
    if left <= 0:
        return "ETIMEDOUT"
    reply = run_as(ids, left, work)
    return reply.get("value", reply.get("error"))


def open_directory_of_export(root: str, path: str) -> int:
    """Open a directory of the export, through directories alone: a server's links lead where it likes."""
    fd = os.open(root, DIRECTORY)
    for name in path.split("/"):
        if name != ".":
            inner = os.open(name, DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = inner
    return fd


def make(root: str, actor: str) -> list[Any]:
    """Create a directory where this actor may: [place, name, uid, gid]."""
    last: OSError | None = None
    name = f"{NAME}-{actor}"
    for path in request.places:
        try:
            fd = open_directory_of_export(root, path)
            os.mkdir(name, dir_fd=fd)
        except OSError as error:
            last = error
            continue
        info = os.stat(name, dir_fd=fd, follow_symlinks=False)
        return [path, name, info.st_uid, info.st_gid]
    raise last or OSError("nowhere")


def mount_point(root: str, scratch: Scratch) -> None:
    """Create a directory in the scratch, as dockerd does."""
    place, name = scratch
    os.mkdir("agent", dir_fd=open_directory_of_export(root, f"{place}/{name}"))


def chown_scratch(root: str, scratch: Scratch) -> None:
    """Chown the scratch to the agent, as root would."""
    place, name = scratch
    os.chown(name, *request.agent, dir_fd=open_directory_of_export(root, place), follow_symlinks=False)


def observe_mounted() -> dict[str, Any]:
    """Mount the export and observe it; return the document of the reply, since a child calls this."""
    mount_softly()
    return observe_in(MOUNTED).document()


def observe_in(root: str) -> ServerObservation:
    """Let each actor create a directory; return the owners, and what root may do."""
    ids: dict[Actor, Ids] = {"host": request.host, "agent": request.agent, "root": (0, 0)}
    scratch: dict[Actor, Scratch] = {}
    made: dict[Actor, list[int] | str] = {}
    point = chown = made_by = None
    try:
        for actor in ids:
            created = as_ids(ids[actor], OBSERVED_BY, lambda actor=actor: make(root, actor))
            if isinstance(created, list):
                scratch[actor] = (created[0], created[1])
            made[actor] = created[2:] if isinstance(created, list) else created
        if "agent" in scratch:
            point = as_ids((0, 0), OBSERVED_BY, lambda: mount_point(root, scratch["agent"]))
        made_by = scratch.get("host", scratch.get("root"))
        if made_by:
            chown = as_ids((0, 0), OBSERVED_BY, lambda: chown_scratch(root, made_by))
    finally:
        left = clean(root, ids, scratch)
    return ServerObservation("seen", "", made, chown, directory_made=bool(made_by), mount_point=point, left=left)


def clean(root: str, ids: dict[Actor, Ids], scratch: dict[Actor, Scratch]) -> list[str]:
    """Remove the scratch, and that of killed observations; return what remains of the former."""
    old = as_ids((0, 0), END, lambda: stale(root))
    both = [*scratch.values(), *(old if isinstance(old, list) else [])]
    for actor in (*scratch, "root", "host", "agent"):
        for each in both:
            as_ids(ids[actor], END, lambda each=each: remove(root, each))
    return ["/".join(each) for actor, each in scratch.items() if not gone(root, ids[actor], each)]


def gone(root: str, ids: Ids, scratch: Scratch) -> bool:
    """Return whether it is gone for its creator, who reaches the place where root may not."""
    place, name = scratch

    def missing() -> bool:
        try:
            os.stat(name, dir_fd=open_directory_of_export(root, place), follow_symlinks=False)
        except FileNotFoundError:
            return True
        return False

    return as_ids(ids, END, missing) is True


def stale(root: str) -> list[Scratch]:
    """Return the scratch of killed observations, and this one's own."""
    scratch = []
    for path in request.places:
        with contextlib.suppress(OSError):
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=open_directory_of_export(root, path))
            for name in os.listdir(fd):
                if not name.startswith(PREFIX):
                    continue
                own = name.startswith(NAME)  # Created by an observation that did not come to report it.
                if own or time.time() - os.stat(name, dir_fd=fd, follow_symlinks=False).st_mtime > STALE:
                    scratch.append((path, name))
    return scratch


def remove(root: str, scratch: Scratch) -> None:
    """Remove a scratch directory."""
    place, name = scratch
    with contextlib.suppress(OSError):
        os.rmdir("agent", dir_fd=open_directory_of_export(root, f"{place}/{name}"))
    os.rmdir(name, dir_fd=open_directory_of_export(root, place))


def observe() -> ServerObservation:
    """Observe the export with a deadline; return the reply."""
    reply = run_as((0, 0), request.seconds, observe_mounted)
    if "value" in reply:
        return decode(ServerObservation, reply["value"], request.entry)
    left = [f"{NAME}-*, perhaps"] if reply["error"] == "ETIMEDOUT" else []
    return ServerObservation(reply["error"], reply["text"], {}, None, directory_made=False, mount_point=None, left=left)


if __name__ == "__main__":
    print_reply(observe())
