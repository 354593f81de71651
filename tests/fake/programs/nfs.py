"""Exports of a fake server; mounts and the containers' firewall of a fake host."""

from __future__ import annotations

from dataclasses import replace

from files.pods.common.protocol import Place
from files.pods.nfs.export_state import ExportState
from files.pods.nfs.mount_state import Beneath, Mount, MountState, Point, Unit
from files.pods.nfs.protocol import FirewallState
from tasks.model.fleet.plan import HostPlan, ServerPlan
from tasks.model.nfs.container_firewall import UNIT, nftables_dropin, rules_text
from tasks.model.nfs.container_firewall import unit_text as firewall_unit
from tasks.model.nfs.exports import exports_text, table_entries
from tasks.model.nfs.mount_plan import bind_flags, binds_of, options_of, pods_of, stamp_of
from tasks.model.nfs.mount_unit import docker_dropin
from tasks.model.nfs.nfs_versions import CONF, nfs_conf_text
from tasks.model.systemd_names import unit_name
from tests.fake.fake import Fake
from tests.fake.nft import listing
from tests.fake.stated import UNITS, binds


def exports(plan: ServerPlan) -> Fake:
    paths = sorted({export.path for export in plan.exports})
    files = {
        "conf": "/etc/nfs.conf.d/nanoclaw-pods.conf",
        "dropin": "/etc/exports.d/nanoclaw-pods.exports",
        "tried": "/var/lib/nanoclaw-pods/nfs-versions-tried",
    }
    return Fake(
        requests=[{**files, "directories": []}, {**files, "directories": paths}],
        bare=ExportState(
            None, None, [], [], {export.path: Place("absent") for export in plan.exports}, False, False, []
        ),
        finished=ExportState(
            dropin=exports_text(plan.exports),
            conf=nfs_conf_text(plan),
            table=table_entries(plan.exports),
            elsewhere=[],
            directories={e.path: Place("directory", e.owner.uid, e.owner.gid, "0755") for e in plan.exports},
            active=True,
            enabled=True,
            versions=["-3" if plan.settings.nfs_v3 is False else "+3", "+4", "+4.1", "+4.2"],
            own=[[export.path, export.client] for export in plan.exports],
            real={export.path: export.path for export in plan.exports},
            clients=[export.client for export in plan.exports],
            threads=8,
            v3=plan.settings.nfs_v3,
            v3_files=[(CONF, plan.settings.nfs_v3)],
        ),
    )


def mounts(plan: HostPlan) -> Fake:
    pods, targets = plan.settings.pods_path, list(binds(plan).values())
    return Fake(
        requests=[
            {
                "binds": [list(bind) for bind in binds(plan).items()],
                "pods": pods,
                "stamp": "/var/lib/nanoclaw-pods/export",
                "tried": "/var/lib/nanoclaw-pods/refused-options",
                "units": {path: unit_name(path) for path in [*targets, *([pods] if plan.source else [])]},
            }
        ],
        bare=_unmounted(plan),
        finished=mounted(plan),
    )


def _unmounted(plan: HostPlan) -> MountState:
    desired_mounts = binds_of(plan) + ([pods_of(plan, plan.source)] if plan.source else [])
    return MountState(
        points={mount.path: Point([], "absent", Beneath("absent")) for mount in desired_mounts}
        | {plan.settings.pods_path: Point([], "absent", Beneath("absent"))},
        units={mount.path: Unit(None, "inactive", False, False) for mount in desired_mounts},
        fstab=[],
        stamp=None,
        tried=None,
        base=None,
        base_root="/",
        sources={source: None for source, _target in plan.binds},
    )


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


def container_firewall(plan: HostPlan) -> Fake:
    bare = FirewallState(None, False, None, None, False, False, False, None, None, [], {})
    return Fake(
        requests=[
            {
                "chain": "NANOCLAW-PODS",
                "dropin": f"{UNITS}/docker.service.d/nanoclaw-pods.conf",
                "ipv6": bool(plan.source and ":" in plan.source.address),
                "nftables": f"{UNITS}/nftables.service.d/nanoclaw-pods.conf",
                "rules": {
                    "iptables": "/etc/nanoclaw-pods/firewall.iptables",
                    "nft": "/etc/nanoclaw-pods/firewall.nft",
                },
                "table": "nanoclaw_pods",
                "unit": "nanoclaw-pods-firewall.service",
                "unit_file": f"{UNITS}/nanoclaw-pods-firewall.service",
            }
        ],
        bare=bare,
        underway=replace(bare, backend="nft", tools=True),
        finished=_fenced(plan),
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


OF_HOSTS = {"nfs.mounts": mounts, "nfs.container_firewall": container_firewall}
OF_SERVERS = {"nfs.exports": exports}
