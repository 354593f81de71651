"""What programs ask the commands of a machine, option for option, and what they make of the answers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from files.pods.common import systemctl
from files.pods.common.drop_caches import drop_inodes
from files.pods.common.run_as_host_user import discard_write_errors, sync_file_system
from files.pods.machine.path_states import machine_addresses
from files.pods.nfs import server
from files.pods.nfs.export_change import exportfs, state_directory
from files.pods.probe.environment import unit_property
from files.pods.service import install_units, start, state
from files.pods.transition.state import is_under_way
from files.pods.v1 import rsync_confined, units
from files.pods.v1.confine import needs_of
from files.pods.v1.protocol import Service

ADDRESSES = '[{"addr_info": [{"local": "10.0.0.2"}, {"family": "x"}]}, {"addr_info": [{"local": "fd00::2"}]}, {}]'
NFS_UNIT = "systemctl show nfs-server.service --property=ActiveState,UnitFileState,ExecStart"
LIBRARIES = "\tlinux-vdso.so.1 (0x1)\n\tlibz.so.1 => /lib/libz.so.1 (0x2)\n\t/lib64/ld.so (0x3)\n"
UNIT_STATE = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n"
CLAW = Service("claw.service")


@pytest.mark.parametrize(
    ("call", "answers", "expected"),
    [
        (lambda: drop_inodes(7), {"sysctl -q -w vm.drop_caches=2": ""}, None),
        (lambda: sync_file_system("/p"), {"sync --file-system /p": ""}, None),
        (lambda: discard_write_errors("/p"), {"sync --file-system /p": ""}, None),
        (machine_addresses, {"ip -json address show up scope global": ADDRESSES}, ["10.0.0.2", "fd00::2"]),
        (machine_addresses, {"ip -json address show up scope global": ""}, []),
        (state_directory, {"nfsconf --get mountd state-directory-path": "/srv/nfs\n"}, "/srv/nfs"),
        (
            state_directory,
            {"nfsconf --get mountd state-directory-path": "", "nfsconf --get exportd state-directory-path": "/e\n"},
            "/e",
        ),
        (
            state_directory,
            {"nfsconf --get mountd state-directory-path": "", "nfsconf --get exportd state-directory-path": "no"},
            "/var/lib/nfs",
        ),
        (lambda: exportfs("-u", "a:/b"), {"exportfs -u a:/b": "ignored"}, ""),
        (lambda: is_under_way("m"), {"systemctl show --property=ActiveState --value m": "activating\n"}, True),
        (lambda: is_under_way("m"), {"systemctl show --property=ActiveState --value m": "failed\n"}, False),
        (lambda: is_under_way("m"), {"systemctl show --property=ActiveState --value m": "inactive\n"}, False),
        (lambda: unit_property("u", "User"), {"systemctl show --property=User --value u": " ada\n"}, "ada"),
        (state.systemd_version, {"systemctl --version": "systemd 257~rc2 (257~rc2-1)\n+PAM\n"}, 257),
        (state.systemd_version, {"systemctl --version": ""}, 0),
        (
            lambda: vars(
                state.unit_state("c.service", ["/etc/c.service", "/etc/r.timer", "/etc/r.service", "/x.conf"])
            ),
            {
                "systemctl show --property=LoadState,ActiveState,SubState,UnitFileState c.service": UNIT_STATE,
                "systemctl show --value --property=NeedDaemonReload c.service r.service": "no\n\nyes\n",
            },
            {"load": "loaded", "active": "active", "sub": "running", "enabled": "enabled", "reload": True},
        ),
        (
            lambda: start.start_output("c", {}, ""),
            {"journalctl --no-pager --output=cat --unit=c --lines=30": "one\n"},
            "the journal of c:\none",
        ),
        (
            lambda: start.start_output("c", {}, "a1"),
            {"journalctl --no-pager --output=cat _SYSTEMD_INVOCATION_ID=a1 + INVOCATION_ID=a1": "two\n"},
            "the journal of c:\ntwo",
        ),
        (lambda: install_units.run("systemctl", "daemon-reload").stdout, {"systemctl daemon-reload": "x"}, "x"),
        (
            lambda: units.state(CLAW),
            {"systemctl show --property=ActiveState --value claw.service": "active\n"},
            "active",
        ),
        (lambda: units.must(CLAW, "stop", "claw.service"), {"systemctl stop claw.service": ""}, None),
        (lambda: needs_of("/bin/x"), {"ldd /bin/x": LIBRARIES}, ["/bin/x", "/lib/libz.so.1", "/lib64/ld.so"]),
        (rsync_confined.takes_secluded, {"rsync --version": "rsync  version 3.2.7  protocol version 31\n"}, True),
        (rsync_confined.takes_secluded, {"rsync --version": "rsync  version 3.2.6  protocol version 31\n"}, False),
        (rsync_confined.takes_secluded, {"rsync --version": "openrsync: protocol version 29\n"}, False),
        (lambda: server.output_of(["nfsconf", "--dump"]), {"nfsconf --dump": "a\n"}, "a"),
        (
            lambda: {name: server.service()[name] for name in ("active", "enabled")},
            {NFS_UNIT: "ActiveState=active\nUnitFileState=disabled\n", "nfsconf --dump": ""},
            {"active": True, "enabled": False},
        ),
    ],
)
def test_program_asks_a_command_and_reads_its_answer(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any], answers: dict[str, str], expected: Any
) -> None:
    rest = dict(answers)

    def run(argv: Any, **more: Any) -> subprocess.CompletedProcess[Any]:
        answer = rest.pop(" ".join(argv)) if " ".join(argv) in rest else answers[" ".join(argv)]
        return subprocess.CompletedProcess(argv, 0, answer if "encoding" in more else answer.encode(), "")

    monkeypatch.setattr(subprocess, "run", run)
    rsync_confined.takes_secluded.cache_clear()
    assert call() == expected
    assert rest == {}
    rsync_confined.takes_secluded.cache_clear()


def test_services_are_those_with_a_file_and_those_that_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        (None, "show --value --property=UnitPath"): "",
        (None, "list-unit-files --type=service --no-legend --plain --full"): "b.service enabled\nt@.service static\n\n",
        (None, "list-units --all --type=service --no-legend --plain --full"): "t@1.service loaded\nb.service loaded\nx",
    }
    monkeypatch.setattr(systemctl, "run_systemctl", lambda manager, *argv: answers[(manager, " ".join(argv))])
    assert systemctl.service_names(None) == ["b.service", "t@1.service"]


@pytest.mark.parametrize(
    ("manager", "expected"), [(None, "systemctl --no-pager a"), (1, "systemctl --user --no-pager a")]
)
def test_manager_is_queried_without_colours_or_pages(
    monkeypatch: pytest.MonkeyPatch, manager: int | None, expected: str
) -> None:
    requests = []

    def bounded_output(argv: list[str], seconds: float, most: int, **more: Any) -> tuple[int, bytes]:
        requests.append((" ".join(argv), more["cwd"], more["env"]["SYSTEMD_COLORS"], more["env"]["SYSTEMD_URLIFY"]))
        assert (seconds, most) == (systemctl.REPLY_TIMEOUT, systemctl.MAX_REPLY)
        return 0, b"caf\xe9"

    monkeypatch.setattr(systemctl, "bounded_output", bounded_output)
    assert systemctl.run_systemctl(manager, "a") == "caf\ufffd"
    assert requests == [(expected, "/", "0", "0")]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TimeoutError(), "it does not answer in time"),
        (OverflowError(), "its reply is too large"),
        (FileNotFoundError(2, "No such file or directory"), "systemctl: No such file or directory"),
        ((1, b""), "systemctl show ended with status 1"),
    ],
)
def test_manager_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, error: Any, message: str) -> None:
    def bounded_output(*_argv: Any, **_more: Any) -> Any:
        if isinstance(error, Exception):
            raise error
        return error

    monkeypatch.setattr(systemctl, "bounded_output", bounded_output)
    with pytest.raises(systemctl.ManagerError) as raised:
        systemctl.run_systemctl(None, "show", "x")
    assert str(raised.value) == message
