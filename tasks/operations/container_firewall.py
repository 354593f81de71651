"""Docker after the mounts, containers away from the server; iptables.rule knows no nftables and is lost at boot."""

from dataclasses import replace

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

from files.pods.nfs.protocol import FirewallState
from tasks.command import argv, write_file
from tasks.model.fleet.plan import HostPlan
from tasks.model.nfs.container_firewall import (
    NFTABLES_DROPIN,
    RULES,
    UNIT,
    UNIT_FILE,
    firewall_request,
    in_force,
    nftables_dropin,
    rules_text,
    unit_text,
)
from tasks.model.nfs.mount_unit import DOCKER_DROPIN, docker_dropin
from tasks.model.systemd_names import unit_name
from tasks.operations.base import Commands, lasting_operation, read_state
from tasks.report import show_diff


@lasting_operation
def docker_and_pods(plan: HostPlan) -> Commands:
    """Order Docker after the mounts, and drop what containers send to the NFS server, and NFS to anywhere.

    Owns: nanoclaw-pods.conf in docker.service.d and nftables.service.d, nanoclaw-pods-firewall.service with its rules
    in /etc/nanoclaw-pods, and a table of its own: `inet nanoclaw_pods`, or, where the kernel has no nf_tables, the
    chain NANOCLAW-PODS of the mangle table. Leaves alone: every other rule, Docker itself (it need not be
    installed yet, and is not restarted: an order counts at the next boot).
    Changes: when a file, the unit's state or the live rules differ, or systemd has not read a file.
    Errors: a kernel that can do neither.
    """
    server = plan.source.address if plan.source else None
    current = read_state(FirewallState, firewall_request(plan))
    if not current.tools and not state.is_executing:
        current = replace(current, backend="nft")  # nft comes with an earlier operation
    mounts = ([plan.settings.pods_path] if server else []) + [target for _source, target in plan.binds]
    order = docker_dropin([*map(unit_name, mounts), *([UNIT] if server else [])])
    files = {} if current.dropin == order else {DOCKER_DROPIN: (current.dropin, order)}
    files |= _firewall_files(current, server) if server else {}
    reload = bool(files) or current.needs_reload
    apply = bool(server and (_rules_differ(current, server) or not current.active))
    if not reload and not apply and (current.enabled or not server):
        host.noop("Docker waits for the pods" + (f", and containers do not reach {server}" if server else ""))
        return
    for path, (old, new) in files.items():
        show_diff(path, old, new)
    for path, (_old, new) in files.items():
        checked = ("nft", "-c", "-f", "{}") if path == RULES["nft"] else ()
        yield write_file(path, new, validate=checked)
    if server and not current.enabled:
        yield argv("systemctl", "--no-reload", "enable", "--quiet", UNIT)
        reload = True
    if reload:
        yield argv("systemctl", "daemon-reload")
    if apply:
        yield argv("systemctl", "reload" if current.active else "start", UNIT)


def _firewall_files(current: FirewallState, server: str) -> dict[str, tuple[str | None, str]]:
    if current.backend is None:
        raise OperationError(
            f"containers cannot be kept from the NFS server {server}: the kernel has no nf_tables (family inet) and "
            "there is no iptables-legacy. Without it an agent can act as any user on the server; install a kernel "
            "with nf_tables"
        )
    desired = {
        RULES[current.backend]: (current.rules, rules_text(current.backend, server)),
        UNIT_FILE: (current.unit, unit_text(current.backend, list(current.iptables))),
    }
    if current.backend == "nft":
        desired[NFTABLES_DROPIN] = (current.nftables, nftables_dropin())
    return {path: texts for path, texts in desired.items() if texts[0] != texts[1]}


def _rules_differ(current: FirewallState, server: str) -> bool:
    return current.backend is not None and not in_force(current, server)
