"""A host as its operator left it: installed by hand as root, its project root on a no_root_squash export."""

from __future__ import annotations

from tests.e2e.fleet import Fleet

ROOT = "/pods/nanoclaw-v2"
SYMPTOM = "Container exited .*code=1 "
"""What NanoClaw's log shows at its default level, once a minute."""
CAUSE = "attempt to write a readonly database"
"""What the agent prints on standard error, which NanoClaw logs at debug level only."""


def stage(fleet: Fleet, host: str = "host-root") -> None:
    """Set up the NFS server and one host by hand, as in the incident, without the role."""
    server, machine = fleet.lab["server"], fleet.lab[host]
    network = ".".join(machine.address.split(".")[:3]) + ".0/24"
    # For 50 s after its start lockd grants no lock in any NFS version (nlm_grace_period). Shorten that: a server in
    # service is past it.
    server.succeed("modprobe lockd && echo 1 > /proc/sys/fs/nfs/nlm_grace_period")
    server.succeed(
        f"mkdir -p /srv/pods/{host} && systemctl start nfs-server && "
        f"echo '/srv/pods/{host} {network}(rw,sync,no_subtree_check,no_root_squash)' >> /etc/exports && exportfs -ra"
    )
    machine.succeed(
        f"mkdir -p /pods && echo '{server.address}:/srv/pods/{host} /pods nfs vers=4.2,hard 0 0' >> /etc/fstab && "
        "systemctl daemon-reload && mount /pods"
    )
    machine.succeed(
        f"git clone -q -b v2.0.64 git://{server.address}/nanoclaw.git {ROOT} && cd {ROOT} && "
        "pnpm install --frozen-lockfile && pnpm run build && bash container/build.sh",
        timeout=600,
    )
    machine.succeed(f"cd {ROOT} && bash setup/service.sh", timeout=180)
    machine.wait_until_succeeds(f"grep -q 'NanoClaw running' {ROOT}/logs/nanoclaw.log", timeout=180)


def is_staged(fleet: Fleet, host: str = "host-root") -> bool:
    """Whether the host is installed already."""
    return fleet.lab[host].run(f"test -e {ROOT}/dist/index.js", check=False).returncode == 0


def has_symptom(fleet: Fleet, host: str = "host-root") -> bool:
    """Whether the host's log shows the symptom, and not the cause."""
    shown = f"grep -q '{SYMPTOM}' {ROOT}/logs/nanoclaw.log && ! grep -q '{CAUSE}' {ROOT}/logs/*.log"
    return fleet.lab[host].run(shown, check=False).returncode == 0


def cause(fleet: Fleet, host: str = "host-root") -> str:
    """Return SQLite's error for the agent's user on the session's database: an operator can check this by hand."""
    database = f"$(ls {ROOT}/data/v2-sessions/*/*/outbound.db | head -n 1)"
    write = f"sqlite3 {database} 'PRAGMA user_version = 0' 2>&1"
    return fleet.lab[host].run(f'setpriv --reuid 1000 --regid 1000 --clear-groups sh -c "{write}"', check=False).stdout
