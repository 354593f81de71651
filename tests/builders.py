"""Machines and plans for tests: a server, its hosts, and the host data in which a test differs from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.model.access.identity import Ids
from tasks.model.fleet.plan import HOSTS, SERVERS, FleetPlan, HostPlan, Machine
from tasks.model.fleet.plan_fleet import plan_fleet


def server(name: str = "nfs1", /, **data: Any) -> Machine:
    """A machine of nfs_servers."""
    return Machine(name, (SERVERS,), {"ssh_hostname": "10.0.0.1", **data})


def host(name: str = "oslo", number: int = 2, /, **data: Any) -> Machine:
    """A machine of nanoclaw_hosts.

    + number: its address is 10.0.0.NUMBER
    """
    return Machine(name, (HOSTS,), {"ssh_hostname": f"10.0.{number // 250}.{number % 250}", **data})


def machines(**hosts: Mapping[str, Any]) -> list[Machine]:
    """The server and these hosts, by name, at 10.0.0.2, 10.0.0.3 and so on."""
    return [server(), *(host(name, number, **data) for number, (name, data) in enumerate(hosts.items(), 2))]


def fleet(chosen: Mapping[str, Ids] | None = None, /, **hosts: Mapping[str, Any]) -> FleetPlan:
    """The plans of the server and of these hosts."""
    return plan_fleet(machines(**hosts), chosen=chosen)


def one_host(**data: Any) -> FleetPlan:
    """The plans of oslo and its server. nfs1 is not there where `data` states pods_server."""
    others = [] if "pods_server" in data else [server()]
    return plan_fleet([*others, host(**data)])


def host_plan(**data: Any) -> HostPlan:
    """The plan of oslo. nfs1 is its server, unless `data` states pods_server."""
    return one_host(**data).hosts["oslo"]


def local_plan(**data: Any) -> HostPlan:
    """The plan of oslo with pods on a local disk, unless `data` states pods_server."""
    return host_plan(**{"pods_server": "local", **data})
