"""What happens to the guard and around it, on a host with sessions that it chowns over NFS."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tasks.model.ownership.guard import guard_unit
from tests.e2e.fleet import Fleet
from tests.e2e.strategies import CHOWN, settle
from tests.lab.machine import Machine

SOON = 20
"""Seconds within which the guard is back at work after what happened to it, on a slow machine."""

AT_ONCE = 50

_MAKE = """
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
"""Makes sessions as the host process does, all at once; says after how many ms each was the agent's."""


def prepare(fleet: Fleet, name: str) -> None:
    """Makes a host one with a guard."""
    settle(fleet, name, CHOWN)
    fleet.ask(name, "hello", session="kept")


def killed(fleet: Fleet, name: str) -> None:
    """systemd starts it again, and what was made meanwhile is given."""
    host, unit = fleet.lab[name], _unit(fleet, name)
    before = _process(fleet, name)
    host.succeed(f"kill -9 {before} && {_burst(fleet, name, 'killed', 20)}")
    _all_given(fleet, name)
    assert _process(fleet, name) not in (before, "0")
    assert host.succeed(f"systemctl show --property=NRestarts --value {unit}").strip() != "0"


def overflown(fleet: Fleet, name: str) -> None:
    """More happens than the kernel keeps for it: it looks at everything, and goes on."""
    host, unit = fleet.lab[name], _unit(fleet, name)
    queue = host.succeed("sysctl -n fs.inotify.max_queued_events").strip()
    try:
        host.succeed(f"sysctl -qw fs.inotify.max_queued_events=16 && systemctl restart {unit}")
        _gives(fleet, name, "ready")
        stopped = _process(fleet, name)
        host.succeed(
            f"kill -STOP {stopped} && {_burst(fleet, name, 'overflown', 200)} && kill -CONT {stopped}", timeout=300
        )
        _all_given(fleet, name, timeout=120)
        assert _process(fleet, name) == stopped
        _gives(fleet, name, "after-overflow")
    finally:
        host.succeed(f"sysctl -qw fs.inotify.max_queued_events={queue} && systemctl restart {unit}")


def server_restarted(fleet: Fleet, name: str) -> None:
    """The server is gone for a moment while sessions are made: its clients wait, and so does the guard."""
    host, server = fleet.lab[name], fleet.lab["server"]
    making = "".join(
        f"mkdir -p {_place(fleet, name)}/restart-{n} && touch {_place(fleet, name)}/restart-{n}/x; sleep 1; "
        for n in range(10)
    )
    host.succeed(f"setsid sh -c {shlex.quote(making)} >/dev/null 2>&1 &")
    server.succeed("systemctl restart nfs-server", timeout=300)
    host.wait_until_succeeds(f"test -e {_place(fleet, name)}/restart-9/x", timeout=300)
    _all_given(fleet, name)
    _answers(fleet, name, "after the server's restart")


def remounted(fleet: Fleet, name: str) -> None:
    """As an operator does it, with an agent at work, which may keep the mount busy, and without one.

    NanoClaw and the guard come back, with the new mount or the one that could not be taken away.
    """
    host = fleet.lab[name]
    for agents in ("true", "docker ps --quiet | xargs --no-run-if-empty docker kill && sleep 2"):
        before = _process(fleet, name)
        host.succeed(agents, timeout=120)
        done = host.run("systemctl restart pods.mount", check=False, timeout=300)
        assert agents == "true" or done.returncode == 0, done.stderr
        for unit in (_unit(fleet, name), fleet.host(name).unit):
            host.wait_until_succeeds(f"systemctl is-active {unit}", timeout=120)
        assert _process(fleet, name) != before
        _answers(fleet, name, "after the remount")


def mounted_anew_by_a_run(fleet: Fleet, name: str) -> None:
    """An option that a remount cannot change: the run stops the guard with the mount, and it is back at its end."""
    before = _process(fleet, name)
    fleet.data[name]["pods_mount_options"] = ["lookupcache=positive"]
    fleet.deploy("--limit", name)
    assert _process(fleet, name) not in (before, "0")
    _answers(fleet, name, "after a new mount")
    del fleet.data[name]["pods_mount_options"]
    fleet.deploy("--limit", name)
    _gives(fleet, name, "mounted-as-before")


def many_at_once(fleet: Fleet, name: str) -> list[int]:
    """As many sessions at once as a busy host has, made by NanoClaw's own code. Returns the ms each had to wait."""
    plan = fleet.host(name)
    argv = [
        "node",
        "--input-type=module",
        "--eval",
        _MAKE,
        f"ag-many-{time.time_ns()}",
        str(AT_ONCE),
        str(plan.agent.uid),
    ]
    waits: list[int] = json.loads(fleet.lab[name].succeed(f"cd {plan.root} && {shlex.join(argv)}", timeout=300))
    assert len(waits) == AT_ONCE
    assert max(waits) <= 2000, sorted(waits)
    _all_given(fleet, name)
    return sorted(waits)


def logs_taken_away(fleet: Fleet, name: str) -> None:
    """It writes to the journal. Neither a rotation of all logs nor the death of journald ends it or blinds it."""
    host, plan = fleet.lab[name], fleet.host(name)
    rotation = f"/etc/logrotate.d/{plan.unit.removesuffix('.service')}"
    host.succeed(f"logrotate --force {rotation} && journalctl --quiet --rotate && journalctl --quiet --vacuum-time=1s")
    _gives(fleet, name, "rotated")
    host.succeed("systemctl kill --signal=SIGKILL systemd-journald && sleep 2")
    _gives(fleet, name, "journald")
    _answers(fleet, name, "after the logs")


def absent(fleet: Fleet, name: str) -> None:
    """NanoClaw does not need it to run: stopped or masked, it takes nothing down; a run brings it back."""
    host, unit, service = fleet.lab[name], _unit(fleet, name), fleet.host(name).unit
    before = host.succeed(f"systemctl show --property=MainPID --value {service}")
    host.succeed(f"systemctl stop {unit}")
    assert host.succeed(f"systemctl show --property=MainPID --value {service}") == before
    with _masked(host, unit):
        host.succeed(f"systemctl restart {service}", timeout=120)
        host.wait_until_succeeds(f"systemctl is-active {service}")
    run = fleet.deploy("--limit", name)
    assert {operation for operation, _host in run.changed} == {"Guard | Guard the sessions before the server changes"}
    _answers(fleet, name, "with the guard again")


@contextmanager
def _masked(host: Machine, unit: str) -> Iterator[None]:
    """A unit of /etc is masked by a drop-in with a condition that never holds: its file stays as it is."""
    place = f"/run/systemd/system/{unit}.d"
    host.succeed(
        f"mkdir -p {place} && printf '[Unit]\\nConditionPathExists=!/\\n' > {place}/never.conf"
        " && systemctl daemon-reload"
    )
    try:
        yield
    finally:
        host.succeed(f"rm -r {place} && systemctl daemon-reload")


def tree_that_is_a_link(fleet: Fleet, name: str) -> None:
    """A session tree that is a link to somewhere else: refused with the reason, and what it names is left alone."""
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
    _answers(fleet, name, "after the link")


SCENARIOS: Mapping[str, Callable[[Fleet, str], object]] = {
    "killed": killed,
    "overflown": overflown,
    "server restarted": server_restarted,
    "remounted": remounted,
    "mounted anew by a run": mounted_anew_by_a_run,
    "many at once": many_at_once,
    "logs taken away": logs_taken_away,
    "absent": absent,
}
"""Those that any host with a guard goes through; each leaves it as it was."""


def _unit(fleet: Fleet, name: str) -> str:
    return guard_unit(fleet.host(name))


def _process(fleet: Fleet, name: str) -> str:
    return fleet.lab[name].succeed(f"systemctl show --property=MainPID --value {_unit(fleet, name)}").strip()


def _place(fleet: Fleet, name: str) -> str:
    """A group's directory of sessions that no agent group has."""
    return f"{fleet.host(name).sessions}/ag-scenario"


def _burst(fleet: Fleet, name: str, stamp: str, number: int) -> str:
    """A command that makes sessions as the host process does: root, a directory with what is in it."""
    made = f"{_place(fleet, name)}/{stamp}-{time.time_ns()}"
    names = f"seq -f {made}-%.0f/outbox {number} | xargs mkdir -p"
    return f"{names} && seq -f {made}-%.0f/inbound.db {number} | xargs touch"


def _gives(fleet: Fleet, name: str, stamp: str) -> None:
    """One session more, which is the agent's soon: not only at the next sweep, a minute later."""
    fleet.lab[name].succeed(_burst(fleet, name, stamp, 1))
    _all_given(fleet, name)


def _all_given(fleet: Fleet, name: str, timeout: float = SOON) -> None:
    plan = fleet.host(name)
    find = f"find {plan.sessions} {plan.groups} ! -uid {plan.agent.uid}"
    fleet.lab[name].wait_until_succeeds(f'found="$({find})"; echo "$found"; test -z "$found"', timeout=timeout)


def _answers(fleet: Fleet, name: str, text: str) -> None:
    """In the session that was there and in a new one."""
    for session in ("kept", f"new-{time.time_ns()}"):
        assert fleet.ask(name, text, session=session) == f"echo: {text}"
