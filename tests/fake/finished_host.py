"""The replies of a host after a run of the role."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from files.pods.common.protocol import Place
from files.pods.guard.protocol import GuardState
from files.pods.machine.machine_state import MountPoint
from files.pods.machine.protocol import AccountState, Node, RuntimeState
from files.pods.machine.runtime import PROGRAMS
from files.pods.migration.protocol import Progress
from files.pods.nfs.mount_state import Beneath, Mount, MountState, Point, Unit
from files.pods.nfs.protocol import FirewallState, ServerObservation
from files.pods.probe.protocol import Container, Observations, ProbedMount, Space, Step, Surveyed
from files.pods.service.protocol import (
    EnvState,
    Installed,
    Installs,
    Service,
    ServiceState,
    Serving,
    ServingState,
    UnitState,
)
from files.pods.source.protocol import CheckoutState
from files.pods.trees.protocol import TreeReport, TreesReply
from tasks.bundle import bundle
from tasks.model.fleet.plan import HostPlan
from tasks.model.host import service_unit
from tasks.model.host.env_files import digest, places
from tasks.model.host.service_steps import unit_files
from tasks.model.nfs.container_firewall import UNIT, nftables_dropin, rules_text
from tasks.model.nfs.container_firewall import unit_text as firewall_unit
from tasks.model.nfs.mount_plan import bind_flags, binds_of, options_of, pods_of, stamp_of
from tasks.model.nfs.mount_unit import docker_dropin, mount_points
from tasks.model.ownership.guard import command_line
from tasks.model.ownership.guard import unit_text as guard_text
from tasks.model.ownership.trees import host_trees
from tasks.model.systemd_names import unit_name
from tests.fake.bare_host import GIB, KEY, PNPM, Documents, logs_of, machine
from tests.fake.nft import listing

_COMMIT, _LOCK, _PACKAGE = "c0" * 20, "10" * 32, "9a" * 32


def _installed(plan: HostPlan) -> Installed:
    path = service_unit.unit_path(plan)
    unit = Service("system", plan.unit, path, plan.host_ids.uid, "active")
    return Installed(plan.root, plan.host_ids.uid, plan.settings.nanoclaw_user, True, [unit], [])


def finished_host(plan: HostPlan) -> Documents:
    ids = (plan.host_ids.uid, plan.host_ids.gid)
    pin = {"commit": _COMMIT, "lock": _LOCK, "package": _PACKAGE, "node": "20"}
    name = plan.settings.nanoclaw_user
    account = AccountState(ids, service_unit.expected_account(plan).home, True, name, name, ids[1], True, True)
    return {
        "machine.preflight": replace(machine(plan.name, account), mounts=_mount_points(plan)),
        "nfs.mounts": mounted(plan),
        "nfs.container_firewall": _fenced(plan),
        "machine.runtime": RuntimeState(
            programs=dict.fromkeys(PROGRAMS, True),
            certificates=True,
            node=Node("/usr/bin/node", 20),
            engine=True,
            docker_io=True,
            docker_runs=True,
            buildx=True,
            npm_package=True,
            candidates={},
            account=account,
        ),
        "source.checkout": CheckoutState(
            git=True,
            link=False,
            owners={},
            foreign=[],
            remote=plan.settings.nanoclaw_repository,
            commit=_COMMIT,
            desired=_COMMIT,
            unresolved=None,
            changed=[],
            pnpm_pin=PNPM,
            pnpm_digest=None,
            pnpm=PNPM,
            tools_missing=False,
            built={**pin, "finished": 1.0},
            source=dict(pin),
            outputs=True,
        ),
        "nfs.observe_export": ServerObservation(
            state="seen",
            text="",
            made={"host": [1000, 1000], "agent": [1000, 1000], "root": [1000, 1000]},
            chown=None,
            given=True,
            mount_point=None,
            left=[],
        ),
        "trees.main": TreesReply([TreeReport(tree.path, "there", 40) for tree in host_trees(plan)]),
        "guard.state": _guard_state(plan),
        "migration.state": Progress(None, under_way=False, decided=False, recorded=False, v2_has_state=True),
        "service.env_state": EnvState(
            {
                path: Place("file" if mode == "0600" else "directory", *ids, mode)
                for path, mode in places(plan.root).items()
            },
            {name: digest(KEY, value) for name, value in plan.settings.nanoclaw_env.items()},
        ),
        "service.state": _running(plan),
        "service.v2_installs": Installs([_installed(plan)]),
        "service.serving_state": ServingState(True, "", [], [], _COMMIT, _COMMIT, None),
        "probe.main": Observations(
            seconds=2.1,
            missing=[],
            mounts={plan.sessions: ProbedMount(plan.settings.pods_path, "nfs4", str(plan.source), ["rw"])},
            steps=[Step("host", "make a session"), Step("agent", "write outbound.db")],
            relied=["process", "container"],
            id_mapping=False,
            space=Space(20 * GIB, 1_000_000),
            created=[(plan.stored_agent.uid, plan.stored_agent.gid)],
            container=Container("ran", ids=(plan.agent.uid, plan.agent.gid)),
            survey=Surveyed(4, 2, 0, [], []),
        ),
    }


def mounted(plan: HostPlan) -> MountState:
    sealed = Beneath("directory", immutable=True)
    pods = plan.settings.pods_path
    live = Mount(str(plan.source), "nfs4", "/", [*options_of(plan), "rw"]) if plan.source else None
    points = {pods: Point([live] if live else [], "ok", sealed if live else Beneath("directory"), "1:1")}
    binds, flags = binds_of(plan), ["rw", *bind_flags(plan)]
    sources: dict[str, str | None] = {}
    for number, (source, target) in enumerate(plan.binds):
        inside = source.removeprefix(pods)
        shown = Mount(live.source + inside, "nfs4", "/", flags) if live else Mount("/dev/vda1", "ext4", source, flags)
        points[target] = Point([shown], "ok", sealed, f"1:{number + 10}")
        sources[source] = f"1:{number + 10}"
    return MountState(
        points=points,
        units={
            mount.path: Unit(mount.text, "active", True, False)
            for mount in binds + ([pods_of(plan, plan.source)] if plan.source else [])
        },
        fstab=[],
        stamp=stamp_of(plan),
        tried=None,
        base=live or Mount("/dev/vda1", "ext4", "/", []),
        base_root="/" if live else pods,
        sources=sources,
    )


def _fenced(plan: HostPlan) -> FirewallState:
    server = plan.source.address if plan.source else None
    points = ([plan.settings.pods_path] if server else []) + [target for _source, target in plan.binds]
    dropin = docker_dropin([*map(unit_name, points), *([UNIT] if server else [])])
    bare = FirewallState("nft", True, None, None, False, False, False, dropin, None, [], {})
    if server is None:
        return bare
    files = replace(bare, rules=rules_text("nft", server), unit=firewall_unit("nft"), nftables=nftables_dropin())
    return replace(files, active=True, enabled=True, nft=listing(server))


def _guard_state(plan: HostPlan) -> GuardState:
    if not plan.strategy.needs_guard:
        return GuardState(None, [], None, False, False, False, [], [])
    program = bundle("guard.main")
    digest_of = hashlib.sha256(program).hexdigest()
    return GuardState(digest_of, [], guard_text(plan, program), True, True, False, command_line(plan, program), [])


def _running(plan: HostPlan) -> ServiceState:
    owner = plan.stored_agent if plan.root_on_pods and plan.strategy.name == "squash" else plan.host_ids
    logs = {
        path: Place("file" if path.endswith(".log") else "directory", owner.uid, owner.gid) for path in logs_of(plan)
    }
    up = ServiceState(
        systemd=257,
        unit=UnitState("loaded", "active", "running", "enabled", False),
        files={},
        account=service_unit.expected_account(plan),
        node="/usr/bin/node",
        logs=logs,
        outdated=[],
        rivals=[],
        serving=Serving(True, ""),
    )
    rotation = service_unit.rotation_text(plan, service_unit.expected_account(plan))
    return replace(up, files={**unit_files(plan, up), service_unit.rotation_path(plan): rotation})


def _mount_points(plan: HostPlan) -> list[MountPoint]:
    """What preflight sees mounted: the pods, and their binds."""
    if plan.source is None:
        return []
    return [MountPoint(path, "nfs4", str(plan.source), [plan.source.address]) for path in mount_points(plan)]
