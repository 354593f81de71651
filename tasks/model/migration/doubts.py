"""Refusals because it is not certain how a NanoClaw v1 runs. Nothing is guessed: users' privacy depends on it."""

from collections.abc import Iterator

from files.pods.v1.running_state import Unit
from files.pods.v1.v1_state import Home, Install
from tasks.model.migration.plan_item import counted, listed
from tasks.model.migration.refusal import Refusal


def command_of(unit: Unit, *args: str) -> str:
    """Return a systemctl command for a unit, in the unit's manager."""
    manager = f"--user --machine={unit.uid}@ " if unit.manager == "user" else ""
    return f"systemctl {manager}{' '.join(args)}"


def home_doubts(install: Install) -> Iterator[Refusal]:
    """Refuse if v1's home, which has its allow-lists, is not certain. Homes with the same lists are no doubt."""
    runs = [unit for unit in install.units if any(one.is_of(unit) for one in install.processes)]
    for unit in install.units:
        if unit.doubt and unit not in runs:
            why = f"the home of v1, which has its allow-lists, is known only while {unit.file} runs ({unit.doubt})"
            yield Refusal(why, f"start it ({command_of(unit, 'start', unit.name)}), and run again")
    for home in install.homes:
        if not home.plain:
            yield Refusal(f"the home of v1, {home.path}, has characters that cannot be shown", "rename it")
    if len({home.alike for home in install.homes}) > 1:
        each = "; ".join(_home(home) for home in install.homes)
        why = f"v1 may have its allow-lists in {counted(len(install.homes), 'home')}, which differ: {each}"
        start = "restart v1, so that its process has its unit's HOME" if install.units else "run it as nanoclaw.service"
        yield Refusal(why, f"{start}; or move away the lists that v1 does not use")


def _home(home: Home) -> str:
    lists = [one.path.rpartition("/")[2] for one in (home.senders, home.mounts) if one]
    return f"{home.path} (by {home.by}, {' and '.join(lists) or 'none there'})"


def manager_doubts(install: Install) -> Iterator[Refusal]:
    """Refuse if a service manager does not say whether it runs v1, which could then start beside v2."""
    for one in install.unasked:
        if one.uid is None:
            yield Refusal(
                f"systemd does not say which services run v1 ({one.why})", "check systemctl status, and run again"
            )
            continue
        ways = f"start it (systemctl start user@{one.uid}.service), or disable it (loginctl disable-linger {one.uid})"
        yield Refusal(f"the service manager of uid {one.uid} does not say whether it runs v1 ({one.why})", ways)
    for unit in install.units:
        if unit.reload:
            way_out = f"{command_of(unit, 'daemon-reload')}, then restart it, and run again"
            yield Refusal(f"{unit.file} has changed since systemd read it", way_out)


def agent_doubts(install: Install) -> Iterator[Refusal]:
    """Refuse if agents of v1 could not be stopped."""
    if install.containers is None:
        yield Refusal("Docker does not say which agents of v1 run", "check systemctl status docker, and run again")
    podman = [name.partition(":")[2] for name in install.containers or [] if name.startswith("podman:")]
    if podman:
        stop = f"stop v1, and them (podman stop {' '.join(sorted(podman)[:3])})"
        yield Refusal(f"agents of v1 run in Podman {listed(podman)}, which the role does not stop", stop)
