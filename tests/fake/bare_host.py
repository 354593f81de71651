"""The replies of a freshly installed host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from files.pods.common.protocol import Place
from files.pods.guard.protocol import GuardState
from files.pods.machine.machine_state import IdState, MachineState
from files.pods.machine.protocol import AccountState, RuntimeState
from files.pods.machine.runtime import PROGRAMS
from files.pods.migration.protocol import Progress
from files.pods.nfs.mount_state import Beneath, MountState, Point, Unit
from files.pods.nfs.protocol import FirewallState
from files.pods.service.protocol import EnvState, Installs, ServiceState, Serving, UnitState
from files.pods.source.protocol import CheckoutState
from files.pods.trees.protocol import TreeReport, TreesReply
from tasks.model.fleet.plan import HostPlan
from tasks.model.host import service_unit
from tasks.model.host.env_files import places
from tasks.model.host.host_ids import CANDIDATES
from tasks.model.nfs.mount_plan import binds_of, pods_of
from tasks.model.ownership.trees import host_trees

Documents = Mapping[str, Any]
"""Fact documents by the name of the program that prints them."""

GIB = 1 << 30
KEY = "00" * 32
PNPM = "10.33.0"
THERE_ANYWAY = ("apt-get", "chattr", "logrotate")
"""The PROGRAMS of a freshly installed machine."""
NO_ACCOUNT = AccountState(None, None, False, None, None, None, False, False)


def machine(name: str, account: AccountState | None = None) -> MachineState:
    return MachineState(
        uid=0,
        python=(3, 13),
        distribution="debian",
        version="13",
        hostname=name.rpartition("/")[2],
        systemd=True,
        protected_hardlinks=1,
        mounts=[],
        beneath={},
        account=account,
        person=None,
        free={"/var": 20 * GIB},
        ids=[IdState(number, None, None, None) for number in CANDIDATES[:8]],
    )


def bare_host(plan: HostPlan) -> Documents:
    desired_mounts = binds_of(plan) + ([pods_of(plan, plan.source)] if plan.source else [])
    return {
        "machine.preflight": machine(plan.name, NO_ACCOUNT),
        "nfs.mounts": MountState(
            points={mount.path: Point([], "absent", Beneath("absent")) for mount in desired_mounts}
            | {plan.settings.pods_path: Point([], "absent", Beneath("absent"))},
            units={mount.path: Unit(None, "inactive", False, False) for mount in desired_mounts},
            fstab=[],
            stamp=None,
            tried=None,
            base=None,
            base_root="/",
            sources={source: None for source, _target in plan.binds},
        ),
        "nfs.container_firewall": FirewallState(None, False, None, None, False, False, False, None, None, [], {}),
        "machine.runtime": RuntimeState(
            programs={name: name in THERE_ANYWAY for name in PROGRAMS},
            certificates=False,
            node=None,
            engine=False,
            docker_io=False,
            docker_runs=False,
            buildx=False,
            npm_package=False,
            candidates={"nodejs": "20.19.2+dfsg-1", "docker-cli": "26.1.5", "docker-buildx": "0.13.1"},
            account=NO_ACCOUNT,
        ),
        "source.checkout": CheckoutState(
            git=False,
            link=False,
            owners={},
            foreign=[],
            remote=None,
            commit=None,
            desired=None,
            unresolved=None,
            changed=[],
            pnpm_pin=None,
            pnpm_digest=None,
            pnpm=None,
            tools_missing=True,
            built=None,
            source=dict.fromkeys(("commit", "lock", "package", "node")),
            outputs=False,
        ),
        "trees.main": TreesReply(
            [TreeReport(tree.path, "unmounted" if tree.mount else "absent", 0) for tree in host_trees(plan)]
        ),
        "guard.state": GuardState(None, [], None, False, False, False, [], []),
        "service.v2_installs": Installs([]),
        "migration.state": Progress(None, under_way=False, decided=False, recorded=False, v2_has_state=False),
        "service.env_state": EnvState({path: Place("absent") for path in places(plan.root)}, {}),
        "service.state": ServiceState(
            systemd=257,
            unit=UnitState("not-found", "inactive", "dead", "", False),
            files=dict.fromkeys(service_files(plan)),
            account=None,
            node=None,
            logs={path: Place("absent") for path in logs_of(plan)},
            outdated=None,
            rivals=[],
            serving=Serving(False, f"{plan.unit} is inactive (dead)"),
        ),
    }


def service_files(plan: HostPlan) -> list[str]:
    unit, dropin = service_unit.unit_path(plan), service_unit.dropin_path(plan)
    return [unit, dropin, service_unit.retry_path(plan), service_unit.rotation_path(plan)]


def logs_of(plan: HostPlan) -> list[str]:
    return [service_unit.log_directory(plan), *service_unit.log_files(plan)]
