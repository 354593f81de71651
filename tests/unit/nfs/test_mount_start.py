"""How mounts are started and mounted anew: the commands to systemd in their order, and why a mount did not start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from files.pods.nfs import apply_mounts
from files.pods.nfs.apply_mounts import FailedError
from files.pods.nfs.protocol import ApplyMountsRequest, MountServer, MountUnit
from tests.processes import is_gone

PODS, GROUPS = MountUnit("pods.mount", "/pods"), MountUnit("claw-groups.mount", "/claw/groups")
SERVER = MountServer("127.0.0.1", 2049, "/srv/pods/oslo")


class Machine:
    """Units that systemctl starts and stops, an agent's container, and what was run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *active: str) -> None:
        self.active = {*active}
        self.containers = ["c1"]
        self.fails: dict[str, str] = {}
        self.fails_once: dict[str, str] = {}
        self.journal = ""
        self.ran: list[str] = []
        monkeypatch.setattr(apply_mounts, "run", self.run)
        monkeypatch.setattr(apply_mounts, "is_mounted", self.mounted)
        monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")

    def mounted(self, path: str) -> bool:
        return any(one.unit in self.active for one in (PODS, GROUPS) if one.path == path)

    def run(self, argv: list[str], _seconds: float) -> tuple[int, str]:
        command = " ".join(argv)
        if argv[0] == "journalctl":
            return 0, self.journal
        if argv[:2] == ["systemctl", "is-active"]:
            return (0 if argv[-1] in self.active else 3), ""
        if argv[:2] == ["docker", "ps"]:
            return 0, "".join(f"{name}\tsess\tagent\n" for name in self.containers)
        self.ran.append(command)
        if command in {**self.fails, **self.fails_once}:
            return 1, self.fails_once.pop(command, None) or self.fails[command]
        if argv[:2] == ["docker", "stop"]:
            self.containers.clear()
        elif argv[1] == "start":
            self.active.add(argv[2])
        elif argv[1] == "stop":
            self.active.discard(argv[2])
        return 0, ""


def request(*, cycle: bool = False, start: Sequence[str] = ()) -> ApplyMountsRequest:
    return ApplyMountsRequest(
        cycle=cycle,
        mounts=[PODS, GROUPS],
        start=[*start],
        remount=[],
        server=None,
        service="claw.service",
        install="0a",
        lazy=False,
    )


REFUSED = "the server refuses this machine: it has no export of /srv/pods/oslo for this address"


def test_a_mount_that_starts_is_started_once_and_nobody_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "claw.service")
    reply = apply_mounts.main(request(start=["pods.mount"]))
    assert reply == {"stopped": [], "started": ["pods.mount"]}
    assert machine.ran == ["systemctl reset-failed pods.mount", "systemctl start pods.mount"]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("mount.nfs4: access denied by server while mounting", REFUSED),
        ("mount.nfs4: Operation not permitted", REFUSED),
        (
            "mount.nfs4: mounting failed, reason given by server: No such file or directory",
            "the server has no /srv/pods/oslo, or does not export it to this address",
        ),
        ("mount.nfs4: Protocol not supported", "the server does not speak this NFS version or transport"),
        ("mount.nfs4: an incorrect mount option was specified", "a mount option is wrong"),
        ("mount.nfs4: Connection timed out", "the server does not answer"),
        ("mount.nfs4: Connection refused", "no NFS server listens there"),
        ("mount.nfs4: No route to host", "the server cannot be reached"),
        ("mount.nfs4: Network is unreachable", "the server cannot be reached"),
        ("mount: /pods: unknown filesystem type", "mount(8) failed"),
    ],
)
def test_failed_start_quotes_the_message_of_mount(monkeypatch: pytest.MonkeyPatch, message: str, why: str) -> None:
    machine = Machine(monkeypatch)
    machine.fails["systemctl start pods.mount"] = "Job failed. See journalctl -xe."
    last = "umount: /pods: not mounted."
    machine.journal = f"Mounting pods.mount...\n{message}\n{last}\npods.mount: Failed with result 'exit-code'."
    with pytest.raises(FailedError, match=r"^pods\.mount does not start: ") as failed:
        apply_mounts.start("pods.mount", SERVER)
    assert str(failed.value) == f"pods.mount does not start: {why} ({message}; {last})"


def test_failed_start_quotes_systemctl_without_a_message_of_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    machine.fails["systemctl start pods.mount"] = "Unit pods.mount not found."
    with pytest.raises(FailedError, match=r"^pods\.mount does not start: mount\(8\) failed \(Unit .* not found\.\)$"):
        apply_mounts.start("pods.mount", None)


def test_mounting_anew_stops_who_uses_it_and_ends_as_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """The innermost mount goes first and comes last."""
    machine = Machine(monkeypatch, "claw.service", "docker.service", "pods.mount", "claw-groups.mount")
    reply = apply_mounts.main(request(cycle=True, start=["claw-groups.mount"]))
    assert reply == {
        "stopped": ["claw.service", "container c1"],
        "started": ["pods.mount", "claw-groups.mount", "claw.service"],
    }
    assert [it for it in machine.ran if "reset-failed" not in it] == [
        "systemctl stop claw.service",
        "docker stop --time=10 c1",
        "systemctl stop claw-groups.mount",
        "systemctl stop pods.mount",
        "systemctl start pods.mount",
        "systemctl start claw-groups.mount",
        "systemctl start claw.service",
    ]


def test_what_did_not_run_before_is_not_started_after(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "pods.mount")
    reply = apply_mounts.main(request(cycle=True, start=[]))
    assert reply == {"stopped": [], "started": ["pods.mount"]}
    assert "claw.service" not in machine.active and machine.containers == ["c1"]


def test_agents_that_do_not_stop_keep_the_mount_and_the_service_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "claw.service", "docker.service", "pods.mount")
    machine.fails["docker stop --time=10 c1"] = "permission denied"
    with pytest.raises(FailedError, match=r"agent containers do not stop: c1"):
        apply_mounts.main(request(cycle=True))
    assert {"claw.service", "pods.mount"} <= machine.active
    assert "systemctl stop pods.mount" not in machine.ran


def test_a_mount_that_does_not_come_back_keeps_the_service_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would write into the empty mount point."""
    machine = Machine(monkeypatch, "claw.service", "pods.mount")
    machine.fails["systemctl start pods.mount"] = "no"
    machine.containers.clear()
    with pytest.raises(FailedError, match=r"pods\.mount does not start"):
        apply_mounts.main(request(cycle=True))
    assert machine.active == set()


def test_a_mount_that_failed_is_started_again_and_the_service_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run fails; the machine is as it was before."""
    machine = Machine(monkeypatch, "claw.service", "pods.mount", "claw-groups.mount")
    machine.fails_once["systemctl start claw-groups.mount"] = "mount.nfs4: Connection timed out"
    machine.containers.clear()
    with pytest.raises(FailedError, match=r"claw-groups\.mount does not start: the server does not answer"):
        apply_mounts.main(request(cycle=True))
    assert machine.active == {"claw.service", "pods.mount", "claw-groups.mount"}
    starts = [it for it in machine.ran if it.startswith("systemctl start")]
    assert starts == [
        "systemctl start pods.mount",
        *["systemctl start claw-groups.mount"] * 2,
        "systemctl start claw.service",
    ]


@pytest.mark.parametrize(("lazy", "options"), [(False, []), (True, ["-f", "-l"])])
def test_only_a_lazy_unmount_is_forced(monkeypatch: pytest.MonkeyPatch, lazy: bool, options: list[str]) -> None:
    machine = Machine(monkeypatch, "pods.mount")
    machine.fails = {"systemctl stop pods.mount": "", "umount /pods": "umount: /pods: stale"}
    monkeypatch.setattr(apply_mounts, "processes_below", lambda _path: "1 (init)")
    monkeypatch.setattr(apply_mounts, "is_mounted", lambda _path: True)
    with pytest.raises(FailedError, match=r"/pods cannot be unmounted: umount: /pods: stale; .* use it: 1 \(init\)"):
        apply_mounts.unmount("pods.mount", "/pods", lazy)
    expected = ["systemctl stop pods.mount", "umount /pods", *(f"umount {option} /pods" for option in options)]
    assert machine.ran == expected


def test_command_has_its_status_and_both_its_outputs() -> None:
    assert apply_mounts.run(["sh", "-c", "cat; echo out; printf 'caf\\351' >&2; exit 3"], 20) == (3, "out\ncaf\ufffd")


def test_late_command_is_killed_and_says_so(tmp_path: Path) -> None:
    shell = f"echo $$ > {tmp_path}/pid; exec sleep 300"
    assert apply_mounts.run(["sh", "-c", shell], 0.6) == (124, "sh did not end within 1 s")
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_command_after_the_end_of_the_run_is_not_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(apply_mounts.Clock, "end", time.monotonic())
    with pytest.raises(FailedError, match=rf"^no time was left for: touch {tmp_path}/file$"):
        apply_mounts.run(["touch", f"{tmp_path}/file"], 20)
    assert not (tmp_path / "file").exists()


def test_who_has_something_open_below_a_path_is_named(tmp_path: Path) -> None:
    assert apply_mounts.processes_below(str(tmp_path)) == "none that /proc shows"
    (tmp_path / "file").touch()
    (tmp_path.with_name(f"{tmp_path.name}-beside")).mkdir()
    with (tmp_path / "file").open() as file, subprocess.Popen(["sleep", "60"], cwd=tmp_path) as child:
        try:
            held = apply_mounts.processes_below(str(tmp_path)).split(", ")
            assert f"{child.pid} (sleep)" in held and any(one.startswith(f"{os.getpid()} (") for one in held)
            assert apply_mounts.processes_below(f"{tmp_path}-beside") == "none that /proc shows"
        finally:
            child.kill()
            file.close()


def test_a_process_may_call_itself_anything(tmp_path: Path) -> None:
    """A name that is no UTF-8, or a command for a terminal, neither ends the check nor reaches the terminal."""
    named = "import time\nopen('/proc/self/comm', 'wb').write(b'\\xff\\x1b[31m')\nprint(flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-I", "-c", named], cwd=tmp_path, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout and child.stdout.readline() == b"\n"
            assert apply_mounts.processes_below(str(tmp_path)) == f"{child.pid} (\\xff\\x1b[31m)"
        finally:
            child.kill()
