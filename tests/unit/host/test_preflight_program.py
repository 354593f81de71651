"""What a machine says of itself before anything is done to it, run for real on this one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.common.protocol import HostUser
from files.pods.machine.protocol import PlacesRequest, PreflightRequest
from tests.programs import request_argv
from tests.unit.trees.trees import A, needs_root

REQUEST = PreflightRequest([], None, None, [], PlacesRequest([], {}, []))


def preflight(*before: str, **changes: Any) -> dict[str, Any]:
    """The reply of a machine on which a shell command ran before, in mounts of its own."""
    argv = request_argv(replace(REQUEST, **changes))
    if before:
        argv = ["unshare", "--mount", "sh", "-ec", f'{before[0]}\nexec "$@"', "sh", *before[1:], *argv]
        argv[4] = argv[4].replace('exec "$@"', f'shift {len(before) - 1}; exec "$@"')
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    reply: dict[str, Any] = json.loads(done.stdout)
    return reply


def test_machine_says_who_and_what_it_is() -> None:
    reply = preflight()
    assert (reply["uid"], reply["hostname"]) == (os.geteuid(), socket.gethostname())
    assert reply["python"] == list(sys.version_info[:2])
    assert reply["systemd"] is Path("/run/systemd/system").is_dir()
    assert reply["protected_hardlinks"] == int(Path("/proc/sys/fs/protected_hardlinks").read_text())
    try:
        init = Path("/proc/1/ns/pid").readlink().name
    except OSError:
        init = ""  # nobody may look: then it is unknown which machine this is
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert reply.get("identity", "").startswith(f"{boot} " if init else "") and bool(init) == ("identity" in reply)
    assert preflight().get("identity") == reply.get("identity")


@needs_root
@pytest.mark.parametrize(
    ("text", "distribution", "version"),
    [
        ("ID=debian\nVERSION_ID=\"12\"\n# comment\n\nNAME='x=y'\n", "debian", "12"),
        ("ID='ubuntu'\nVERSION_ID=24.04\n", "ubuntu", "24.04"),
        ("NAME=x\n", "", ""),
    ],
)
def test_distribution_is_that_of_os_release(tmp_path: Path, text: str, distribution: str, version: str) -> None:
    (tmp_path / "os-release").write_text(text)
    reply = preflight('mount --bind "$1" /etc/os-release', f"{tmp_path}/os-release")
    assert (reply["distribution"], reply["version"]) == (distribution, version)


def test_what_a_mount_would_hide_is_named_where_nothing_is_mounted(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"full/f{number}").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    paths = [str(tmp_path / name) for name in ("full", "empty", "none")]
    reply = preflight(paths=[*paths, "/proc"])
    names = [f"f{number}" for number in range(5)]
    assert reply["beneath"] == {paths[0]: names, paths[1]: [], paths[2]: None, "/proc": None}
    mounts = [{"path": "/proc", "type": "proc", "source": "proc", "addresses": []}]
    assert [mount for mount in reply["mounts"] if mount["path"] in paths] == []
    assert [{**mounts[0], **mount} for mount in reply["mounts"]][:1] == mounts


def test_free_space_is_that_of_the_nearest_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    paths = [str(tmp_path / name) for name in ("", "none/below", "file")]
    free = preflight(space=paths)["free"]
    info = os.statvfs(tmp_path)
    assert set(free) == set(paths)
    for space in free.values():
        assert abs(space - info.f_bavail * info.f_frsize) < 1 << 30


@needs_root
def test_full_file_system_has_the_space_that_others_than_root_have(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=1m t "$1"; head -c 524288 /dev/zero > "$1/file"'
    assert preflight(mount, str(tmp_path), space=[str(tmp_path)])["free"] == {str(tmp_path): 524288}


@needs_root
def test_user_that_cannot_enter_a_parent_is_barred_by_the_first_of_them(tmp_path: Path) -> None:
    (tmp_path / "open/closed/inner").mkdir(parents=True)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.name.startswith(("test_", "pytest-", "popen-")):
            parent.chmod(0o755)
    closed = tmp_path / "open/closed"
    closed.chmod(0o700)
    paths = [str(tmp_path / name) for name in ("open/file", "open/closed/inner/file", "none/below/file")]
    places = PlacesRequest([], {}, paths)
    reply = preflight(account=HostUser("no-such-user", A, A), places=places)
    assert reply["barred"] == {paths[1]: str(closed)}
    os.chown(closed, 0, A)
    closed.chmod(0o710)
    assert preflight(account=HostUser("no-such-user", A, A), places=places).get("barred", {}) == {}


def test_places_have_their_names_and_files_their_marks(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / "real" / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "real/file").write_text("written by nanoclaw-pods\n")
    paths = [str(tmp_path / name) for name in ("link", "real/file", "none", "loop")]
    marks = {f"{tmp_path}/link/file": "nanoclaw-pods", f"{tmp_path}/none": "", str(tmp_path / "real/file"): "other"}
    places = preflight(places=PlacesRequest(paths, marks, []))["places"]
    real = os.path.realpath(tmp_path)
    assert places["paths"] == {
        paths[0]: {"real": f"{real}/real", "names": ["a", "b", "file"]},
        paths[1]: {"real": f"{real}/real/file", "names": ["file"]},
        paths[2]: {"real": f"{real}/none", "names": None},
        paths[3]: None,
    }
    assert places["marked"] == [f"{tmp_path}/link/file", f"{tmp_path}/none"]


def checkout(place: Path, *names: str) -> str:
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("")
    return str(place)


def test_session_driver_is_that_of_the_checkout(tmp_path: Path) -> None:
    package, driver = "package.json", "src/drivers/docker-driver.ts"
    assert "driver" not in preflight(root=checkout(tmp_path / "none")), "nothing is checked out"
    assert "driver" not in preflight(root=checkout(tmp_path / "half", driver))
    assert preflight(root=checkout(tmp_path / "before", package))["driver"] is False
    assert preflight(root=checkout(tmp_path / "after", package, driver))["driver"] is True
    assert "driver" not in preflight(), "nobody asks where it does not matter"
