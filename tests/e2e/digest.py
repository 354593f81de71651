"""A listing of a machine's state, to see whether anything changed on it."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pprint import pformat

from tests.lab.machine import Machine

_PATHS = "/etc /srv/pods /opt /usr/local /var/lib/nanoclaw-pods /var/lib/nfs/etab /root /home /pods"

# An NFS client with a write delegation keeps the times of a file to itself (RFC 9754). Opening the file on the server
# recalls the delegation; listing it does not. The server may set the times then, and clients cache the earlier ones.
# So times of files on NFS are listed on the server alone.
_SCRIPT = f"""
if [ -d /srv/pods ]; then find /srv/pods -xdev -type f -exec head -qc 0 {{}} +; fi
find {_PATHS} -xdev \\( -path '*/logs' -o -name '*.db*' -o -name .heartbeat -o -name circuit-breaker.json \\
    -o -name cli.sock -o -name .cache -o -name node_modules -o -name .pnpm-store -o -name .git \\) -prune \\
    -o -type d -printf '%p %m %U %G\\n' -o -fstype nfs4 -printf '%p %y %m %U %G %s %l\\n' \\
    -o -printf '%p %y %m %U %G %s %T@ %l\\n' 2>/dev/null | sort
echo --- packages; dpkg-query -W
for attempt in 1 2 3 4 5; do units=$(systemctl list-unit-files --no-legend --plain) && break; done
echo --- units; echo "$units" | awk '$2 != "transient" {{print $1, $2, $3}}' | sort
systemctl show -p ActiveState,ActiveEnterTimestamp,MainPID 'nanoclaw*' 'pods*' nfs-server docker 2>/dev/null
echo --- mounts; grep -E ' /pods| /opt' /proc/self/mountinfo
echo --- exports; exportfs -s 2>/dev/null
echo --- firewall; nft list table inet nanoclaw_pods 2>/dev/null; iptables-legacy -t mangle -S 2>/dev/null
echo --- images; docker image ls -q --no-trunc 2>/dev/null | sort
lsattr -d /pods 2>/dev/null
"""


def digest(machine: Machine) -> list[str]:
    """List everything on a machine that a run could change: files with owners, modes and times, units, mounts."""
    return machine.run(_SCRIPT, check=False, timeout=300).stdout.splitlines()


def digests(machines: Iterable[Machine]) -> dict[str, list[str]]:
    """Take the digests of several machines at once, by name."""
    machines = list(machines)
    with ThreadPoolExecutor() as pool:
        return dict(zip((machine.name for machine in machines), pool.map(digest, machines), strict=True))


def difference(before: list[str], after: list[str]) -> list[str]:
    """The lines that differ."""
    return sorted(set(before) ^ set(after))


def stable_digests(machines: Iterable[Machine]) -> dict[str, list[str]]:
    """Return the digests once two in a row are equal: systemd notices an unmount a moment later."""
    machines = list(machines)
    before = digests(machines)
    for _ in range(10):
        after = digests(machines)
        if after == before:
            return after
        before, changed = after, _changed(before, after)
    raise AssertionError(f"the machines keep changing:\n{pformat(changed, width=160)}")


def _changed(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: lines for name in before if (lines := difference(before[name], after[name]))}


def assert_unchanged(before: dict[str, list[str]], machines: Iterable[Machine]) -> None:
    """Fail with the lines that differ from earlier digests."""
    after = digests(machines)
    changed = _changed(before, after)
    assert not changed, pformat(changed, width=160)
