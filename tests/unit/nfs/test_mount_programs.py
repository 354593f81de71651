"""The programs for mounts, run for real: in a mount namespace of their own where they mount something."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import TypeAdapter

from files.pods.common import linux
from files.pods.common.mountinfo import mount_table
from files.pods.common.protocol import Request
from files.pods.nfs import apply_mounts as mount_units
from files.pods.nfs import make_directories, mounts, seal_mount_point
from files.pods.nfs.mount_state import Beneath, MountState
from files.pods.nfs.protocol import (
    ApplyMountsRequest,
    DirectoriesRequest,
    FlushRequest,
    MountServer,
    MountsRequest,
    MountUnit,
    SealRequest,
)
from tasks.mounts import MOUNT_SECONDS
from tests.programs import request_argv, shell_command


def _namespace(script: str) -> subprocess.CompletedProcess[str]:
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", script]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or _namespace("mount -t tmpfs t /mnt").returncode != 0, reason="needs root and mount namespaces"
)


def command(request: Request) -> str:
    return shell_command(request.entry, request.document())


def read(pods: Path, setup: str = ":", target: Path | None = None, before: str = "") -> MountState:
    binds = [(f"{pods}/groups", str(target))] if target else []
    units = {str(pods): "nanoclaw-pods-no-such.mount"}
    request = MountsRequest(str(pods), binds, units, stamp=f"{pods}.stamp", tried=f"{pods}.tried")
    done = _namespace(f"{setup}\n{before} {command(request)}")
    assert done.returncode == 0, done.stderr
    return TypeAdapter(MountState).validate_json(done.stdout.splitlines()[-1])


def seal(pods: Path, setup: str = ":", after: str = ":") -> subprocess.CompletedProcess[str]:
    request = SealRequest([str(pods)], str(pods.parent), (1234, 1235))
    return _namespace(f"{setup}\n{command(request)}\n{after}")


@NEEDS_ROOT
def test_nothing_is_there(tmp_path: Path) -> None:
    state = read(tmp_path / "pods")
    point = state.points[f"{tmp_path}/pods"]
    assert (point.mounts, point.beneath.kind) == ([], "absent")
    assert (state.stamp, state.tried, state.fstab) == (None, None, [])
    assert state.units[f"{tmp_path}/pods"].text is None


@NEEDS_ROOT
def test_a_mount_and_what_it_hides(tmp_path: Path) -> None:
    pods = tmp_path / "pods"
    pods.mkdir()
    (pods / "lost").touch()
    state = read(pods, f"mount -t tmpfs -o nosuid one {pods}")
    point = state.points[str(pods)]
    assert [(mount.source, mount.type) for mount in point.mounts] == [("one", "tmpfs")]
    assert "nosuid" in point.mounts[0].options
    assert (point.answer, point.beneath.kind, point.beneath.entries) == ("ok", "directory", ("lost",))


@NEEDS_ROOT
def test_stacked_mounts_come_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "pods").mkdir()
    state = read(tmp_path / "pods", f"mount -t tmpfs one {tmp_path}/pods; mount -t tmpfs two {tmp_path}/pods")
    assert [mount.source for mount in state.points[f"{tmp_path}/pods"].mounts] == ["one", "two"]


@NEEDS_ROOT
def test_a_link_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    beneath = read(tmp_path / "link" / "pods").points[f"{tmp_path}/link/pods"].beneath
    assert (beneath.kind, beneath.detail) == ("link", f"{tmp_path}/link")


@NEEDS_ROOT
def test_what_a_mount_hides_is_unknown_where_the_kernel_does_not_show_it(tmp_path: Path) -> None:
    """With the kernel's own reason: as a container's root without its rights has it."""
    pods = tmp_path / "pods"
    pods.mkdir()
    beneath = read(pods, before="setpriv --bounding-set -sys_admin").points[str(pods)].beneath
    why = "open_tree(2): Operation not permitted (it needs root and Linux 5.2)"
    assert (beneath.kind, beneath.detail) == ("unknown", why)


@NEEDS_ROOT
def test_of_many_hidden_entries_twenty_are_named(tmp_path: Path) -> None:
    pods = tmp_path / "pods"
    pods.mkdir()
    for number in range(30):
        (pods / f"{number:02}").touch()
    entries = read(pods, f"mount -t tmpfs one {pods}").points[str(pods)].beneath.entries
    assert entries == tuple(f"{number:02}" for number in range(20))


@NEEDS_ROOT
def test_lines_of_fstab_for_the_pods_are_read_as_mount_reads_them(tmp_path: Path) -> None:
    """fstab(5): comments, escapes, a slash at the end, options that are missing; other mount points are not ours.

    A line is quoted as its fields, with one blank between them.
    """
    pods = tmp_path / "the pods"
    pods.mkdir()
    escaped = str(pods).replace(" ", r"\040")
    lines = [
        f"# 127.0.0.1:/srv/no {escaped} nfs defaults 0 0",
        f"[::1]:/srv/one {escaped}/ nfs rw,hard 0 0",
        f"127.0.0.1:/srv/two\t{escaped} nfs4",
        f"/dev/sdz1 {escaped} ext4 defaults",
        "127.0.0.1:/srv/other /elsewhere nfs defaults",
        "short line",
    ]
    (tmp_path / "fstab").write_text("\n".join(["", *lines, ""]))
    entries = read(pods, f"mount --bind {tmp_path}/fstab /etc/fstab").fstab
    assert [(it.line, it.source, it.path, list(it.options), list(it.addresses)) for it in entries] == [
        (lines[1].removesuffix(" 0 0"), "[::1]:/srv/one", str(pods), ["rw", "hard"], ["::1"]),
        (lines[2].replace("\t", " "), "127.0.0.1:/srv/two", str(pods), [""], ["127.0.0.1"]),
        (lines[3], "/dev/sdz1", str(pods), ["defaults"], []),
    ]


@NEEDS_ROOT
@pytest.mark.parametrize("text", ["", "# nothing\n", "short line\n"])
def test_a_fstab_without_entries_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "pods").mkdir()
    (tmp_path / "fstab").write_text(text)
    assert read(tmp_path / "pods", f"mount --bind {tmp_path}/fstab /etc/fstab").fstab == []


@NEEDS_ROOT
def test_a_bind_shows_its_source(tmp_path: Path) -> None:
    pods, target = tmp_path / "pods", tmp_path / "root" / "groups"
    pods.mkdir()
    target.mkdir(parents=True)
    bind = f"mount -t tmpfs one {pods}; mkdir {pods}/groups; mount --bind {pods}/groups {target}"
    state = read(pods, bind, target)
    assert state.points[str(target)].identity == state.sources[f"{pods}/groups"] is not None
    assert state.points[str(target)].mounts[0].root == "/groups"
    other = read(pods, f"{bind}; mv {pods}/groups {pods}/old; mkdir {pods}/groups", target)
    assert other.points[str(target)].identity != other.sources[f"{pods}/groups"]


@NEEDS_ROOT
def test_a_sealed_directory_is_made_without_rights_and_its_parents_for_the_owner(tmp_path: Path) -> None:
    pods = tmp_path / "root" / "data" / "pods"
    request = SealRequest([str(pods)], str(tmp_path / "root"), (1234, 1235))
    done = _namespace(command(request))
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    try:
        assert reply["made"] == [f"{tmp_path}/root", f"{tmp_path}/root/data", str(pods)]
        infos = {path: path.stat() for path in (tmp_path / "root", tmp_path / "root" / "data", pods)}
        assert [(it.st_uid, it.st_gid, it.st_mode & 0o777) for it in infos.values()] == [
            (1234, 1235, 0o755),
            (1234, 1235, 0o755),
            (0, 0, 0),
        ]
        again = json.loads(_namespace(command(request)).stdout)
        assert again == {**reply, "made": []}
        assert reply["immutable" if _has_flags(tmp_path) else "unsupported"] == [str(pods)]
        assert _is_immutable(pods) is (True if _has_flags(tmp_path) else None)
        assert read(pods).points[str(pods)].beneath.immutable is _is_immutable(pods)
        if _has_flags(tmp_path):
            with pytest.raises(PermissionError):
                (pods / "x").touch()
    finally:
        subprocess.run(["chattr", "-i", str(pods)], capture_output=True)


def _is_immutable(path: Path) -> bool | None:
    """What lsattr(1) says, not the role's own programs; None where the file system has no flags."""
    done = subprocess.run(["lsattr", "-d", str(path)], capture_output=True, text=True)
    return "i" in done.stdout.split()[0] if done.returncode == 0 else None


def _has_flags(folder: Path) -> bool:
    """Whether chattr(1) can make a directory immutable there."""
    probe = folder / "flags"
    probe.mkdir(exist_ok=True)
    able = subprocess.run(["chattr", "+i", str(probe)], capture_output=True).returncode == 0
    subprocess.run(["chattr", "-i", str(probe)], capture_output=True)
    return able


def test_inode_flags_use_the_numbers_of_linux_fs_h() -> None:
    """FS_IOC_GETFLAGS and FS_IOC_SETFLAGS: with others the kernel says ENOTTY, as if there were no such flag."""
    get, put = {8: (0x80086601, 0x40086602), 4: (0x80046601, 0x40046602)}[struct.calcsize("l")]
    used = [linux.GET_FLAGS, linux.SET_FLAGS, linux.IMMUTABLE]
    assert used == [get, put, 0x10]


_ASK: dict[str, Callable[[Path], object]] = {
    "nfs.seal_mount_point": lambda pods: seal_mount_point.seal(str(pods), None, (0, 0), []),
    "mounts": lambda pods: mounts.beneath(str(pods), mount_table()),
}


@NEEDS_ROOT
@pytest.mark.parametrize("program", _ASK)
@pytest.mark.parametrize("code", [errno.EIO, errno.EPERM, errno.EROFS, errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL])
def test_only_a_file_system_without_the_flag_is_taken_for_one(
    program: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other error is one: else the mount point is left open, without a message."""

    def ioctl(*_args: object) -> bytes:
        raise OSError(code, os.strerror(code))

    pods = tmp_path / "pods"
    pods.mkdir()
    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    if code in (errno.EIO, errno.EPERM, errno.EROFS):
        with pytest.raises(OSError, match=os.strerror(code)):
            _ASK[program](pods)
    else:
        reply = _ASK[program](pods)
        assert reply == "unsupported" or reply == Beneath("directory")


@NEEDS_ROOT
def test_a_flag_that_the_file_system_takes_and_does_not_keep_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = tmp_path / "pods"
    pods.mkdir()
    monkeypatch.setattr(fcntl, "ioctl", lambda _handle, _request, argument: argument[:0] + struct.pack("l", 0))
    with pytest.raises(SystemExit, match="accepted the immutable flag but does not show it"):
        seal_mount_point.seal(str(pods), None, (0, 0), [])


@NEEDS_ROOT
def test_a_covered_directory_is_sealed_and_the_mount_left_alone(tmp_path: Path) -> None:
    pods = tmp_path / "pods"
    pods.mkdir()
    mount = f"mount -t tmpfs one {pods}; touch {pods}/mine"
    done = seal(pods, mount, f"touch {pods}/more; ls {pods}; umount {pods}")
    try:
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-2:] == ["mine", "more"]
    finally:
        subprocess.run(["chattr", "-i", str(pods)], capture_output=True)


@NEEDS_ROOT
@pytest.mark.parametrize("mount", [":", "mount -t tmpfs one {pods}"])
def test_a_directory_that_holds_something_is_never_sealed(tmp_path: Path, mount: str) -> None:
    pods = tmp_path / "pods"
    pods.mkdir()
    (pods / "lost").touch()
    done = seal(pods, mount.format(pods=pods))
    assert done.returncode != 0
    assert "lost" in done.stderr
    (pods / "other").touch()


@NEEDS_ROOT
def test_a_link_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "pods").symlink_to("elsewhere")
    assert "real directory" in seal(tmp_path / "pods").stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []


def make(
    tmp_path: Path, *, mounted: bool = False, owner: tuple[int, int] | None = None
) -> subprocess.CompletedProcess[str]:
    request = DirectoriesRequest(str(tmp_path), mounted, [f"{tmp_path}/groups"], owner)
    return subprocess.run(request_argv(request), capture_output=True, text=True)


def test_directories_of_the_pods_are_made_once(tmp_path: Path) -> None:
    me = (os.geteuid(), os.getegid())
    assert json.loads(make(tmp_path, owner=me).stdout) == {"made": [f"{tmp_path}/groups"]}
    assert json.loads(make(tmp_path, owner=me).stdout) == {"made": []}
    assert [path.name for path in tmp_path.iterdir()] == ["groups"]


def test_nothing_is_made_where_nothing_is_mounted(tmp_path: Path) -> None:
    assert "nothing is mounted" in make(tmp_path, mounted=True).stderr
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "groups").symlink_to("/etc")
    assert "link or a file" in make(tmp_path).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_an_interrupted_run_left_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".groups.new").mkdir(mode=0o700)
    assert make(tmp_path, owner=(1234, 1235)).returncode == 0
    made = (tmp_path / "groups").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (1234, 1235, 0o755)
    assert [path.name for path in tmp_path.iterdir()] == ["groups"]


def test_the_stamp_is_written(tmp_path: Path) -> None:
    request = FlushRequest(False, f"{tmp_path}/deep/export", "10.0.0.1:/srv all_squash\n")
    done = subprocess.run(request_argv(request), capture_output=True, text=True)
    assert json.loads(done.stdout) == {"flushed": False}
    assert (tmp_path / "deep" / "export").read_text() == "10.0.0.1:/srv all_squash\n"


REQUEST = ApplyMountsRequest(
    cycle=False, mounts=[], start=[], remount=[], server=None, service="x.service", install="y", lazy=False
)


def units(**changes: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(request_argv(replace(REQUEST, **changes)), capture_output=True, text=True, timeout=60)


def test_a_server_that_does_not_listen_is_named_before_anything_is_stopped() -> None:
    done = units(cycle=True, server=MountServer("127.0.0.1", 9, "/srv"), remount=[["false"]])
    assert done.returncode != 0
    assert done.stderr.startswith("127.0.0.1 port 9: no NFS server listens there")


def test_refused_remount_is_an_error_with_its_output() -> None:
    done = units(remount=[["sh", "-c", "echo mount point is busy; exit 32"]])
    assert (done.returncode, "mount point is busy" in done.stderr) == (1, True)


def test_mounting_anew_ends_before_it_is_waited_for_no_longer() -> None:
    assert mount_units.WORK_TIMEOUT + mount_units.RECOVERY_TIMEOUT < MOUNT_SECONDS


def test_what_was_stopped_starts_again_where_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service stops, unmounting takes all the time: the service runs again, and the reason is reported."""
    ran: list[str] = []

    def run(argv: list[str], seconds: float) -> tuple[int, str]:
        ran.append(" ".join(argv))
        if argv[:2] == ["systemctl", "stop"] and argv[2] == "pods.mount":
            monkeypatch.setattr(mount_units.Clock, "end", 0.0)
            return real_run(argv, seconds)
        return 0, ""

    real_run = mount_units.run
    monkeypatch.setattr(mount_units, "run", run)
    monkeypatch.setattr(mount_units, "is_mounted", lambda _path: True)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    request = replace(REQUEST, mounts=[MountUnit("pods.mount", "/pods")])
    with pytest.raises(mount_units.FailedError, match=r"no time was left for: systemctl stop pods\.mount"):
        mount_units.cycle(request)
    assert ran[-1] == "systemctl start x.service"


@pytest.mark.parametrize("busy", [0, 3, 10**6])
def test_what_uses_a_mount_has_some_time_to_end(monkeypatch: pytest.MonkeyPatch, busy: int) -> None:
    """A child of the host process that is still at its last transaction fails no run; one that stays is named."""
    tries: list[list[str]] = []

    def run(argv: list[str], _seconds: float) -> tuple[int, str]:
        tries.append(argv)
        return 32, "umount.nfs4: /pods: device is busy"

    monkeypatch.setattr(mount_units, "run", run)
    monkeypatch.setattr(mount_units, "is_mounted", lambda _path: len(tries) <= busy)
    monkeypatch.setattr(mount_units, "processes_below", lambda _path: "3064 (sqlite3)")
    monkeypatch.setattr(mount_units, "BUSY_TIMEOUT", 2)
    if busy < 10:
        mount_units.unmount("pods.mount", "/pods", lazy=False)
        assert len(tries) == busy + 1
        return
    with pytest.raises(mount_units.FailedError, match=r"device is busy; processes that use it: 3064 \(sqlite3\)"):
        mount_units.unmount("pods.mount", "/pods", lazy=False)


def test_users_of_a_mount_are_reported_once_during_the_wait(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After five seconds of it, and not for each try."""
    clock = [0.0]
    passes = SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda seconds: clock.append(clock.pop() + seconds))
    request: list[float] = []

    def holders(_path: str) -> str:
        request.append(clock[0])
        return "3064 (sqlite3)"

    monkeypatch.setattr(mount_units, "time", passes)
    monkeypatch.setattr(mount_units, "run", lambda _argv, _seconds: (32, "umount: /pods: target is busy."))
    monkeypatch.setattr(mount_units, "is_mounted", lambda _path: clock[0] < 20)
    monkeypatch.setattr(mount_units, "BUSY_TIMEOUT", 60)
    monkeypatch.setattr(mount_units, "processes_below", holders)
    mount_units.unmount("pods.mount", "/pods", lazy=False)
    assert capsys.readouterr().out == "waiting up to 60 s for what uses /pods: 3064 (sqlite3)\n"
    assert request == [5.5]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_squashed_root_has_the_host_process_create_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a filer that maps root alone, and to another group than the host's: chown(2) is refused there."""

    def refused(*_args: object, **_more: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with tempfile.TemporaryDirectory() as pods:  # which others may enter, as tmp_path they may not
        os.chown(pods, 1500, 1500)
        monkeypatch.setattr(os, "fchown", refused)
        assert make_directories.make(f"{pods}/groups", (1500, 1500), (1500, 1500))
        made = Path(pods, "groups").stat()
        assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (1500, 1500, 0o755)
        assert (os.geteuid(), os.getegid()) == (0, 0)
        for creator in (None, (1600, 1600)):
            with pytest.raises(SystemExit, match="cannot be chowned to"):
                make_directories.make(f"{pods}/v2-sessions", (1500, 1500), creator)
        assert [path.name for path in Path(pods).iterdir()] == ["groups"]
