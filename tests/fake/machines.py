"""Machines in known states, as the documents that the role's facts would read from them.

`bare` is a Debian 13 that was just installed, `underway` the same in the middle of its first run, `finished` what it is
after that run. What a finished machine has in files is what the role writes there, so those texts come from the
functions that make them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

from files.pods.common.protocol import Place
from files.pods.nfs.export_state import ExportState
from files.pods.trees.protocol import CHOWN, RIGHT, Tally, TreeReport, TreesReply
from tasks.model.fleet.plan import FleetPlan, HostPlan, ServerPlan
from tasks.model.host import service_unit
from tasks.model.nfs.exports import exports_text, table_entries
from tasks.model.nfs.nfs_versions import CONF, nfs_conf_text
from tasks.model.ownership.trees import Tree, host_trees, server_trees
from tests.fake.bare_host import PNPM, Documents, bare_host, machine
from tests.fake.entries import entry_replies
from tests.fake.finished_host import finished_host


def documents(fleet: FleetPlan, state: str) -> dict[str, dict[str, Any]]:
    """Return the replies of every machine of a fleet: all `bare`, all `underway`, or all `finished`."""
    servers = {"bare": bare_server, "underway": bare_server, "finished": finished_server}[state]
    hosts = {"bare": bare_host, "underway": underway_host, "finished": finished_host}[state]
    replies: dict[str, Documents] = {name: servers(plan) for name, plan in fleet.servers.items()}
    replies |= {name: hosts(plan) for name, plan in fleet.hosts.items()}
    plans: dict[str, HostPlan | ServerPlan] = {**fleet.servers, **fleet.hosts}
    return {
        name: json.loads(json.dumps({key: asdict(it) for key, it in facts.items()})) | entry_replies(plans[name], state)
        for name, facts in replies.items()
    }


def bare_server(plan: ServerPlan) -> Documents:
    return {
        "machine.preflight": machine(plan.name),
        "nfs.exports": ExportState(
            None, None, [], [], {export.path: Place("absent") for export in plan.exports}, False, False, []
        ),
        "trees.main": TreesReply([TreeReport(tree.path, "absent", 0) for tree in server_trees(plan)]),
    }


def finished_server(plan: ServerPlan) -> Documents:
    return {
        "machine.preflight": machine(plan.name),
        "nfs.exports": ExportState(
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
        "trees.main": TreesReply([TreeReport(tree.path, "there", 40) for tree in server_trees(plan)]),
    }


def underway_host(plan: HostPlan) -> Documents:
    """A bare host as each operation of its first run finds it: what earlier operations of that run do is done."""
    bare, finished = bare_host(plan), finished_host(plan)
    return {
        **bare,
        "source.checkout": replace(bare["source.checkout"], git=True, pnpm_pin=PNPM),
        "nfs.container_firewall": replace(bare["nfs.container_firewall"], backend="nft", tools=True),
        "trees.main": TreesReply([_first_checkout(tree) for tree in host_trees(plan)]),
        "service.state": replace(
            bare["service.state"], account=service_unit.expected_account(plan), node="/usr/bin/node"
        ),
        "probe.main": finished["probe.main"],
        "service.serving_state": finished["service.serving_state"],
    }


def _first_checkout(tree: Tree) -> TreeReport:
    """A tree that the host process has just made, with a file that came with the source."""
    return TreeReport(tree.path, "there", 2, [Tally(RIGHT if tree.created_by == tree.owner else CHOWN, 2)])
