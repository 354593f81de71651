"""The homes of a machine, and those that a silent file server keeps from being seen."""

from __future__ import annotations

import os
import pwd
from typing import Any

import pytest

from files.pods.common.mountinfo import Mount
from files.pods.v1 import find

TABLE = [
    Mount("/", "/", "ext4", "/dev/vda1", ["rw"], ["rw"]),
    Mount("/net/a", "/", "nfs4", "nas:/a", ["rw"], ["rw"]),
    Mount("/net/b", "/", "nfs4", "nas:/b", ["rw"], ["rw"]),
]
USERS = {"root": (0, "/root"), "ada": (1000, "/net/a/ada/"), "eve": (1001, "/net/b/eve"), "gone": (1002, "/gone")}


@pytest.mark.parametrize(
    ("silent", "homes", "unseen"),
    [
        (False, [(0, "/root"), (1000, "/net/a/ada"), (1001, "/net/b/eve")], []),
        (True, [(0, "/root")], ["/net/a", "/net/b"]),
    ],
)
def test_homes_of_a_silent_server_are_named_by_their_mounts(
    monkeypatch: pytest.MonkeyPatch, silent: bool, homes: list[tuple[int, str]], unseen: list[str]
) -> None:
    """Their users may run a v1, and its list of senders may lie there: that is unknown, and not absent."""
    entries = [pwd.struct_passwd((name, "x", uid, uid, "", home, "/bin/sh")) for name, (uid, home) in USERS.items()]

    def run_as(_ids: Any, _seconds: int, work: Any) -> dict[str, Any]:
        return {"error": "ETIMEDOUT", "text": ""} if silent else {"value": work()}

    monkeypatch.setattr(find, "mount_table", lambda: TABLE)
    monkeypatch.setattr(find, "folders_in", lambda _path: [])
    monkeypatch.setattr(find, "run_as", run_as)
    monkeypatch.setattr(pwd, "getpwall", lambda: entries)
    monkeypatch.setattr(os.path, "isdir", lambda path: path != "/gone")
    assert find.every_home() == (homes, unseen)
