"""What an NFS server exports: its directories, its protocol versions, its export table."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra import host, inventory
from pyinfra import state as run
from pyinfra.api.exceptions import OperationError

from tasks.command import argv, run_program, write_file
from tasks.facts.exports import Exports, ExportState
from tasks.model.exports import (
    CONF,
    DROPIN,
    conflicts,
    exports_text,
    nfs_conf_text,
    serves_v3,
    table_drift,
    table_entries,
)
from tasks.model.plan import ServerPlan
from tasks.operations.base import Commands, look, pods_operation
from tasks.report import say, show_diff


def _look(plan: ServerPlan) -> ExportState:
    return look(Exports, dropin=DROPIN, conf=CONF, directories=sorted({export.path for export in plan.exports}))


@pods_operation
def export_directories(plan: ServerPlan) -> Commands:
    """Makes each export directory, owned by whom the exports' strategy needs, mode 0755.

    Owns: the directories themselves. Leaves alone: what is in them, and their parents' owners and modes.
    Changes: when a directory is missing or its owner or mode differs. Refuses a path that is no directory.

    + plan: the server's plan
    """
    state = _look(plan)
    owners = {export.path: export.owner for export in plan.exports}
    wrong = []
    for path, owner in owners.items():
        found = state.directories.get(path)
        if found and found.kind != "directory":
            raise OperationError(f"{path} is to be an export directory and is no directory; move it away")
        if found is None or (found.uid, found.gid, found.mode) != (owner.uid, owner.gid, "0755"):
            wrong.append((path, owner))
    if not wrong:
        host.noop(f"{len(owners)} export directories are there")
        return
    for path, owner in wrong:
        yield argv("install", "-d", "-m", "0755", "-o", str(owner.uid), "-g", str(owner.gid), path)


@pods_operation
def nfs_server(plan: ServerPlan) -> Commands:
    """Runs nfs-server.service, now and at boot, with NFSv3 only where the setting says so.

    Owns: /etc/nfs.conf.d/nanoclaw-pods.conf. Leaves alone: every other setting of nfs.conf(5), rpcbind.
    Changes: when that file, the running server's versions, or the unit's state differ. A change of versions
    restarts the server: clients with open files wait out its grace period (nfsd(7)).

    + plan: the server's plan
    """
    state = _look(plan)
    text = nfs_conf_text(plan)
    conf_differs = state.conf != text
    versions_differ = state.active and serves_v3(state.versions) != plan.settings.nfs_v3
    if state.active and state.enabled and not conf_differs and not versions_differ:
        host.noop("nfs-server.service runs with the right versions")
        return
    if conf_differs:
        show_diff(CONF, state.conf, text)
        yield write_file(CONF, text)
    if not state.enabled:
        yield argv("systemctl", "enable", "nfs-server.service")
    if versions_differ:
        yield argv("systemctl", "restart", "nfs-server.service")
    elif not state.active:
        yield argv("systemctl", "start", "nfs-server.service")


@pods_operation
def export_table(plan: ServerPlan, guarded: Sequence[str] = ()) -> Commands:
    """Exports each directory to its host's address, with the strategy's squash options.

    Owns: /etc/exports.d/nanoclaw-pods.exports and the entries in force for its paths. Leaves alone:
    /etc/exports, other drop-ins and what they export.
    Changes: when the file or an entry in force differs (exportfs(8), /var/lib/nfs/etab), so that a reload
    that an earlier run missed is made up. Errors: a table that exportfs refuses, or that does not become what
    was meant, leaves the old one in force. A host whose guard could not be put to work in this run: the table stays,
    for sessions that are born under another one would be root's.

    + plan: the server's plan
    + guarded: hosts whose guard is to be at work before the table changes
    """
    state = _look(plan)
    text = exports_text(plan.exports)
    refused = conflicts(plan.exports, state.elsewhere)
    if refused:
        raise OperationError("; ".join(refused) + ": remove that line and run exportfs -ra, then run again")
    drift = table_drift(plan, state.table, state.elsewhere)
    if state.dropin == text and not drift:
        host.noop(f"{len(plan.exports)} exports are in force")
        return
    if failed := [name for name in guarded if inventory.get_host(name) in run.failed_hosts]:
        raise OperationError(f"the exports stay as they are, for the guard of {', '.join(failed)} is not at work")
    show_diff(DROPIN, state.dropin, text)
    for reason in drift:
        say(reason)
    yield run_program("exports", {"dropin": DROPIN, "text": text, "wanted": table_entries(plan.exports)})
