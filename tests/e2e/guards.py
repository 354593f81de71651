"""Failures of the guard and around it, on a host with sessions that it chowns over NFS."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tasks.model.ownership.guard import guard_unit
from tests.e2e.fleet import Fleet
from tests.e2e.strategies import CHOWN, apply_strategy
from tests.lab.machine import Machine

CHOWN_SECONDS = 20
"""Seconds within which the guard has chowned new sessions after a failure, on a slow machine."""

SESSIONS_AT_ONCE = 50

_CREATE_SCRIPT = """
import { statSync } from 'node:fs';
import { createSession, sessionDir } from './dist/layout.js';
const [group, number, uid] = process.argv.slice(1);
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const one = async (_, n) => {
  const session = { agent_group_id: group, id: `sess-${n}` };
  await createSession(session);
  const begun = Date.now();
  const names = ['', 'outbox', 'inbound.db', 'outbound.db'].map((name) => `${sessionDir(session)}/${name}`);
  while (names.some((name) => statSync(name).uid !== Number(uid))) {
    if (Date.now() - begun > 60_000) break;
    await wait(10);
  }
  return Date.now() - begun;
};
console.log(JSON.stringify(await Promise.all(Array.from({ length: Number(number) }, one))));
"""
"""Creates sessions as the host process does, all at once; prints after how many ms each belonged to the agent."""


def prepare(fleet: Fleet, name: str) -> None:
    """Bring a host to the strategy chown, which has a guard."""
    apply_strategy(fleet, name, CHOWN)
    fleet.send_message(name, "hello", session="kept")


def kill_guard(fleet: Fleet, name: str) -> None:
    """Kill the guard: systemd starts it again, and it chowns what was created in the meantime."""
    host, unit = fleet.lab[name], _unit(fleet, name)
    before = _main_pid(fleet, name)
    host.succeed(f"kill -9 {before} && {_create_sessions(fleet, name, 'killed', 20)}")
    _wait_until_chowned(fleet, name)
    assert _main_pid(fleet, name) not in (before, "0")
    assert host.succeed(f"systemctl show --property=NRestarts --value {unit}").strip() != "0"


def overflow_event_queue(fleet: Fleet, name: str) -> None:
    """Overflow inotify's event queue: the guard rescans all trees and continues."""
    host, unit = fleet.lab[name], _unit(fleet, name)
    queue = host.succeed("sysctl -n fs.inotify.max_queued_events").strip()
    try:
        host.succeed(f"sysctl -qw fs.inotify.max_queued_events=16 && systemctl restart {unit}")
        _assert_new_session_chowned(fleet, name, "ready")
        stopped = _main_pid(fleet, name)
        host.succeed(
            f"kill -STOP {stopped} && {_create_sessions(fleet, name, 'overflown', 200)} && kill -CONT {stopped}",
            timeout=300,
        )
        _wait_until_chowned(fleet, name, timeout=120)
        assert _main_pid(fleet, name) == stopped
        _assert_new_session_chowned(fleet, name, "after-overflow")
    finally:
        host.succeed(f"sysctl -qw fs.inotify.max_queued_events={queue} && systemctl restart {unit}")


def restart_server(fleet: Fleet, name: str) -> None:
    """Restart the server while sessions are created: its clients wait, and so does the guard."""
    host, server = fleet.lab[name], fleet.lab["server"]
    sessions = _sessions_directory(fleet, name)
    create = "".join(f"mkdir -p {sessions}/restart-{n} && touch {sessions}/restart-{n}/x; sleep 1; " for n in range(10))
    host.succeed(f"setsid sh -c {shlex.quote(create)} >/dev/null 2>&1 &")
    server.succeed("systemctl restart nfs-server", timeout=300)
    host.wait_until_succeeds(f"test -e {sessions}/restart-9/x", timeout=300)
    _wait_until_chowned(fleet, name)
    _assert_answers(fleet, name, "after the server's restart")


def restart_mount_unit(fleet: Fleet, name: str) -> None:
    """Restart the mount unit, as an operator does: with a running agent, which may keep the mount busy, and without.

    NanoClaw and the guard run again afterwards, on the new mount or on the one that stayed busy.
    """
    host = fleet.lab[name]
    for agents in ("true", "docker ps --quiet | xargs --no-run-if-empty docker kill && sleep 2"):
        before = _main_pid(fleet, name)
        host.succeed(agents, timeout=120)
        done = host.run("systemctl restart pods.mount", check=False, timeout=300)
        assert agents == "true" or done.returncode == 0, done.stderr
        for unit in (_unit(fleet, name), fleet.host(name).unit):
            host.wait_until_succeeds(f"systemctl is-active {unit}", timeout=120)
        assert _main_pid(fleet, name) != before
        _assert_answers(fleet, name, "after the remount")


def remount_by_run(fleet: Fleet, name: str) -> None:
    """Set a mount option that needs a new mount: the run stops the guard with the mount and starts it again."""
    before = _main_pid(fleet, name)
    fleet.data[name]["pods_mount_options"] = ["lookupcache=positive"]
    fleet.deploy("--limit", name)
    assert _main_pid(fleet, name) not in (before, "0")
    _assert_answers(fleet, name, "after a new mount")
    del fleet.data[name]["pods_mount_options"]
    fleet.deploy("--limit", name)
    _assert_new_session_chowned(fleet, name, "mounted-as-before")


def create_many_sessions(fleet: Fleet, name: str) -> list[int]:
    """Create as many sessions at once as a busy host, with NanoClaw's own code. Return the ms each had to wait."""
    plan = fleet.host(name)
    argv = [
        "node",
        "--input-type=module",
        "--eval",
        _CREATE_SCRIPT,
        f"ag-many-{time.time_ns()}",
        str(SESSIONS_AT_ONCE),
        str(plan.agent.uid),
    ]
    waits: list[int] = json.loads(fleet.lab[name].succeed(f"cd {plan.root} && {shlex.join(argv)}", timeout=300))
    assert len(waits) == SESSIONS_AT_ONCE
    assert max(waits) <= 2000, sorted(waits)
    _wait_until_chowned(fleet, name)
    return sorted(waits)


def rotate_logs(fleet: Fleet, name: str) -> None:
    """Rotate all logs and kill journald: the guard keeps running and keeps chowning."""
    host, plan = fleet.lab[name], fleet.host(name)
    rotation = f"/etc/logrotate.d/{plan.unit.removesuffix('.service')}"
    host.succeed(f"logrotate --force {rotation} && journalctl --quiet --rotate && journalctl --quiet --vacuum-time=1s")
    _assert_new_session_chowned(fleet, name, "rotated")
    host.succeed("systemctl kill --signal=SIGKILL systemd-journald && sleep 2")
    _assert_new_session_chowned(fleet, name, "journald")
    _assert_answers(fleet, name, "after the logs")


def stop_and_mask_guard(fleet: Fleet, name: str) -> None:
    """Stop and mask the guard: NanoClaw keeps running, and the next run starts the guard again."""
    host, unit, service = fleet.lab[name], _unit(fleet, name), fleet.host(name).unit
    before = host.succeed(f"systemctl show --property=MainPID --value {service}")
    host.succeed(f"systemctl stop {unit}")
    assert host.succeed(f"systemctl show --property=MainPID --value {service}") == before
    with _masked(host, unit):
        host.succeed(f"systemctl restart {service}", timeout=120)
        host.wait_until_succeeds(f"systemctl is-active {service}")
    run = fleet.deploy("--limit", name)
    assert {operation for operation, _host in run.changed} == {"Guard | Guard the sessions before the server changes"}
    _assert_answers(fleet, name, "with the guard again")


@contextmanager
def _masked(host: Machine, unit: str) -> Iterator[None]:
    """Mask a unit of /etc by a drop-in with a condition that never holds; its file stays as it is."""
    place = f"/run/systemd/system/{unit}.d"
    host.succeed(
        f"mkdir -p {place} && printf '[Unit]\\nConditionPathExists=!/\\n' > {place}/never.conf"
        " && systemctl daemon-reload"
    )
    try:
        yield
    finally:
        host.succeed(f"rm -r {place} && systemctl daemon-reload")


def replace_tree_with_link(fleet: Fleet, name: str) -> None:
    """Replace a session tree with a link: the run is refused with the reason and leaves the target alone."""
    plan, host, server = fleet.host(name), fleet.lab[name], fleet.lab["server"]
    assert plan.source is not None and plan.root_on_pods
    groups = plan.source.path + plan.groups.removeprefix(plan.settings.pods_path)
    host.succeed("mkdir -p /precious && touch /precious/file")
    server.succeed(f"mv {groups} {groups}.kept && ln -s /precious {groups}")
    try:
        run = fleet.run("-y", "--limit", name)
        assert run.exit != 0
        assert f"{plan.groups} cannot be opened" in run.log
        assert set(host.succeed("stat -c %u /precious /precious/file").split()) == {"0"}
    finally:
        server.succeed(f"rm {groups} && mv {groups}.kept {groups}")
        host.succeed("rm -r /precious && echo 2 > /proc/sys/vm/drop_caches")
    fleet.deploy("--limit", name)
    _assert_answers(fleet, name, "after the link")


SCENARIOS: Mapping[str, Callable[[Fleet, str], object]] = {
    "guard killed": kill_guard,
    "event queue overflows": overflow_event_queue,
    "server restarts": restart_server,
    "mount unit restarts": restart_mount_unit,
    "remounted by a run": remount_by_run,
    "many new sessions": create_many_sessions,
    "logs rotated": rotate_logs,
    "guard stopped and masked": stop_and_mask_guard,
}
"""Scenarios for any host with a guard; each restores the state that it began with."""


def _unit(fleet: Fleet, name: str) -> str:
    return guard_unit(fleet.host(name))


def _main_pid(fleet: Fleet, name: str) -> str:
    return fleet.lab[name].succeed(f"systemctl show --property=MainPID --value {_unit(fleet, name)}").strip()


def _sessions_directory(fleet: Fleet, name: str) -> str:
    """Return a directory for sessions of an agent group that does not exist."""
    return f"{fleet.host(name).sessions}/ag-scenario"


def _create_sessions(fleet: Fleet, name: str, stamp: str, number: int) -> str:
    """Return a command that creates sessions as a root host process does: directories with files."""
    prefix = f"{_sessions_directory(fleet, name)}/{stamp}-{time.time_ns()}"
    directories = f"seq -f {prefix}-%.0f/outbox {number} | xargs mkdir -p"
    return f"{directories} && seq -f {prefix}-%.0f/inbound.db {number} | xargs touch"


def _assert_new_session_chowned(fleet: Fleet, name: str, stamp: str) -> None:
    """Check that the guard chowns one more session before its next sweep, a minute later."""
    fleet.lab[name].succeed(_create_sessions(fleet, name, stamp, 1))
    _wait_until_chowned(fleet, name)


def _wait_until_chowned(fleet: Fleet, name: str, timeout: float = CHOWN_SECONDS) -> None:
    plan = fleet.host(name)
    find = f"find {plan.sessions} {plan.groups} ! -uid {plan.agent.uid}"
    fleet.lab[name].wait_until_succeeds(f'wrong="$({find})"; echo "$wrong"; test -z "$wrong"', timeout=timeout)


def _assert_answers(fleet: Fleet, name: str, text: str) -> None:
    """Check that the agent answers in the old session and in a new one."""
    for session in ("kept", f"new-{time.time_ns()}"):
        assert fleet.send_message(name, text, session=session) == f"echo: {text}"
