"""The rules that keep containers from the NFS server, and the drop-ins."""

from __future__ import annotations

import ipaddress
from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.fleet.plan import HostPlan
from tasks.model.nfs.container_firewall import CHAIN, NFTABLES_DROPIN, RULES, TABLE, UNIT, UNIT_FILE, FirewallState
from tasks.model.nfs.mount_unit import DOCKER_DROPIN


class ContainerFirewall(ProgramFact[FirewallState]):
    """Rules in files and in force, their unit, and what Docker waits for."""

    program = "nfs.container_firewall"
    document = FirewallState

    def command(self, ipv6: bool) -> StringCommand:
        files = {"unit_file": UNIT_FILE, "dropin": DOCKER_DROPIN, "nftables": NFTABLES_DROPIN}
        return self.ask(table=TABLE, chain=CHAIN, rules=RULES, unit=UNIT, **files, ipv6=ipv6)


def firewall_request(plan: HostPlan) -> dict[str, Any]:
    """What is asked of a host."""
    return {"ipv6": bool(plan.source and ipaddress.ip_address(plan.source.address).version == 6)}
