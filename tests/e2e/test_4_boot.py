"""Machines restart and servers crash: agents answer again without a run, and no message is lost."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.fleet import Fleet
from tests.e2e.sample import sampled

SERVICE_SECONDS = 240
"""Seconds until a host must answer again; a machine of the lab takes about 40 to boot."""


def _wait_for_service(fleet: Fleet, *names: str) -> None:
    for name in names:
        fleet.lab[name].wait_until_succeeds(f"systemctl is-active {fleet.host(name).unit}", timeout=SERVICE_SECONDS)


@sampled(70)
@pytest.mark.parametrize("order", ["server first", "server last"])
def test_agents_answer_after_reboots(fleet: Fleet, order: str) -> None:
    if order == "server first":
        fleet.lab["server"].reboot()
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: fleet.lab[name].reboot(), fleet.hosts))
    if order == "server last":
        fleet.lab["server"].reboot()
    _wait_for_service(fleet, *fleet.hosts)
    answers = fleet.send_to_all(f"after the reboot, {order}")
    assert set(answers.values()) == {f"echo: after the reboot, {order}"}


@sampled(120)
def test_service_waits_for_pods_that_are_absent_at_boot(fleet: Fleet) -> None:
    """Without the mount the service does not start, and nothing is written beneath it. Both start by themselves."""
    server, host = fleet.lab["server"], fleet.lab["host-1000"]
    plan = fleet.host("host-1000")
    server.shutdown()
    try:
        host.crash()
        host.start()
        host.wait_for_ssh()
        time.sleep(40)
        assert host.run(f"systemctl is-active {plan.unit}", check=False).stdout.strip() != "active"
        host.fail("grep -q ' /pods ' /proc/self/mountinfo")
        assert host.succeed("ls -A /pods") == ""
        host.fail("mkdir /pods/beneath")
        assert host.succeed(f"ls -A {plan.sessions}") == ""
    finally:
        server.start()
        server.wait_for_boot()
    _wait_for_service(fleet, *fleet.hosts)
    assert fleet.send_message("host-1000", "the server is back") == "echo: the server is back"


@sampled(100)
def test_server_crash_loses_no_message(fleet: Fleet) -> None:
    """Once the server runs again, each database is intact and every message gets its answer."""
    server = fleet.lab["server"]
    sessions = [f"crash-{number}" for number in range(3)]
    for session in sessions:
        assert fleet.send_message("host-root", "before the crash", session=session) == "echo: before the crash"
    plan = fleet.host("host-root")
    commands = [f"node dist/chat.js --timeout 300 --session {session} during" for session in sessions]
    started = " ".join(f"{command} > /tmp/{number}.answer 2>&1 &" for number, command in enumerate(commands))
    fleet.lab["host-root"].succeed(f"cd {plan.root} && {{ {started} }}")
    time.sleep(3)
    server.crash()
    time.sleep(10)
    server.start()
    server.wait_for_boot()
    for number in range(len(sessions)):
        fleet.lab["host-root"].wait_until_succeeds(f"grep -qx 'echo: during' /tmp/{number}.answer", timeout=300)
    checked = server.succeed(
        "find /srv/pods -name inbound.db -o -name outbound.db | while read -r file; do "
        'echo "$(sqlite3 "$file" "pragma integrity_check")"; done'
    )
    assert set(checked.split()) == {"ok"}
