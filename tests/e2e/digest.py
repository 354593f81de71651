"""A digest of a machine's state, to tell whether anything changed on it."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pprint import pformat

from tests.lab.machine import Machine

_PATHS = "/etc /srv/pods /opt /usr/local /var/lib/nanoclaw-pods /var/lib/nfs/etab /root /home /pods"

_SCRIPT = f"""
find {_PATHS} -xdev \\( -path '*/logs' -o -name '*.db*' -o -name .heartbeat -o -name circuit-breaker.json \\
    -o -name cli.sock -o -name .cache -o -name node_modules -o -name .pnpm-store -o -name .git \\) -prune \\
    -o -type d -printf '%p %m %U %G\\n' -o -printf '%p %y %m %U %G %s %T@ %l\\n' 2>/dev/null | sort
echo --- packages; dpkg-query -W
for again in 1 2 3 4 5; do units=$(systemctl list-unit-files --no-legend --plain) && break; done
echo --- units; echo "$units" | awk '$2 != "transient" {{print $1, $2, $3}}' | sort
systemctl show -p ActiveState,ActiveEnterTimestamp,MainPID 'nanoclaw*' 'pods*' nfs-server docker 2>/dev/null
echo --- mounts; grep -E ' /pods| /opt' /proc/self/mountinfo
echo --- exports; exportfs -s 2>/dev/null
echo --- firewall; nft list table inet nanoclaw_pods 2>/dev/null; iptables-legacy -t mangle -S 2>/dev/null
echo --- images; docker image ls -q --no-trunc 2>/dev/null | sort
lsattr -d /pods 2>/dev/null
"""


def digest(machine: Machine) -> list[str]:
    """What is on a machine that a run could change, as lines: files with owners, modes and times, units, mounts."""
    return machine.run(_SCRIPT, check=False, timeout=300).stdout.splitlines()


def digests(machines: Iterable[Machine]) -> dict[str, list[str]]:
    """The digests of several machines, by name, taken at once."""
    machines = list(machines)
    with ThreadPoolExecutor() as pool:
        return dict(zip((machine.name for machine in machines), pool.map(digest, machines), strict=True))


def difference(before: list[str], after: list[str]) -> list[str]:
    """The lines that differ."""
    return sorted(set(before) ^ set(after))


def settled(machines: Iterable[Machine]) -> dict[str, list[str]]:
    """The digests once two in a row are the same: systemd follows a mount that was taken away a moment later."""
    machines = list(machines)
    before = digests(machines)
    for _ in range(10):
        after = digests(machines)
        if after == before:
            return after
        before, changed = after, _changed(before, after)
    raise AssertionError(f"the machines do not come to rest:\n{pformat(changed, width=160)}")


def _changed(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: lines for name in before if (lines := difference(before[name], after[name]))}


def assert_untouched(before: dict[str, list[str]], machines: Iterable[Machine]) -> None:
    """Fails with the lines that differ from the digests of before."""
    after = digests(machines)
    changed = _changed(before, after)
    assert not changed, pformat(changed, width=160)
