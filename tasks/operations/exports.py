"""What an NFS server exports: pyinfra has nothing for exports(5), and files.directory takes ids for names."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from pyinfra import host, inventory
from pyinfra import state as pyinfra_state
from pyinfra.api.exceptions import OperationError

from files.pods.common.protocol import Place
from files.pods.nfs.export_state import ExportState
from files.pods.nfs.protocol import ExportChange, ExportChangeRequest
from tasks.command import argv, run_request, write_file
from tasks.model.fleet.plan import ServerPlan
from tasks.model.nfs.exports import (
    DROPIN,
    export_notes,
    export_refusals,
    exports_text,
    kept_exports,
    removed_exports,
    some,
    table_drift,
    table_entries,
)
from tasks.model.nfs.nfs_versions import (
    CONF,
    TRIED,
    UNIT,
    exports_request,
    needs_restart,
    nfs_conf_text,
    other_clients,
    version_refusals,
)
from tasks.operations.base import Commands, lasting_operation, read_state
from tasks.report import say, show_diff


def _read_state(plan: ServerPlan) -> ExportState:
    return read_state(ExportState, exports_request(plan))


def _failed(names: Sequence[str]) -> str:
    return ", ".join(name for name in names if inventory.get_host(name) in pyinfra_state.failed_hosts)


@lasting_operation
def export_directories(plan: ServerPlan) -> Commands:
    """Make each export directory, owned by whom the exports' strategy needs, mode 0755.

    Owns: the directories themselves. Leaves alone: what is in them, and their parents' owners and modes.
    Changes: when a directory is missing or its owner or mode differs. Refuses a path that is no directory.
    """
    current = _read_state(plan)
    owners = {export.path: export.owner for export in plan.exports}
    wrong = []
    for path, owner in owners.items():
        entry = current.directories.get(path, Place("absent"))
        if entry.kind not in ("directory", "absent"):
            raise OperationError(f"{path} is not a directory, but an export needs one: move it away, then run again")
        if entry != Place("directory", owner.uid, owner.gid, "0755"):
            wrong.append((path, owner))
    if not wrong:
        host.noop(f"{len(owners)} export directories exist")
        return
    for path, owner in wrong:
        yield argv("install", "-d", "-m", "0755", "-o", str(owner.uid), "-g", str(owner.gid), path)


@lasting_operation
def nfs_server(plan: ServerPlan) -> Commands:
    """Run nfs-server.service, now and at boot; with NFSv3 or without where the setting says so.

    Owns: /etc/nfs.conf.d/nanoclaw-pods.conf, where nfs_v3 is set. Leaves alone: every other setting of nfs.conf(5),
    rpcbind, and the versions where nfs_v3 is not set.
    Changes: when that file, the running server's versions, or the unit's state differ. A change of versions
    restarts the server: clients with open files wait out its grace period (nfsd(7)).
    Errors: another file that decides on NFSv3; a restart of a server that others use, without nfs_restart_shared; a
    restart that does not bring the versions, which is not tried twice.
    """
    current = _read_state(plan)
    if refused := list(version_refusals(plan, current)):
        raise OperationError("; ".join(refused))
    text = nfs_conf_text(plan)
    conf_differs = text is not None and current.conf != text
    restart = needs_restart(plan, current)
    if current.active and current.enabled and not conf_differs and not restart:
        host.noop(f"{UNIT} runs with the right versions")
        return
    if restart and (others := other_clients(plan, current)):
        say(f"{UNIT} restarts, and others that use it wait for its grace period: {some(others)}")
    if text is not None and conf_differs:
        show_diff(CONF, current.conf, text)
        yield write_file(CONF, text)
    if not current.enabled:
        yield argv("systemctl", "enable", UNIT)
    if restart:
        yield argv("systemctl", "restart", UNIT)
    elif not current.active:
        yield argv("systemctl", "start", UNIT)
    if restart and pyinfra_state.is_executing and needs_restart(plan, after := _read_state(plan)):
        yield write_file(TRIED, f"{after.basis}\n")
        raise OperationError(f"{UNIT} was restarted, but still serves {' '.join(after.versions)}")


@lasting_operation
def export_table(plan: ServerPlan, guard_hosts: Sequence[str] = (), stop_hosts: Sequence[str] = ()) -> Commands:
    """Export each directory to its host's address, with the strategy's squash options.

    Owns: /etc/exports.d/nanoclaw-pods.exports, and the entries in force that it defines. Leaves alone: /etc/exports,
    other drop-ins, and every entry that others put in force, with exportfs -i as well; exports of the drop-in that
    this inventory does not have, until nfs_remove_exports names their directory.
    Changes: when the file or an entry in force differs (exportfs(8), /var/lib/nfs/etab), so that what an earlier run
    missed is made up. Each entry is changed by itself. Errors: a drop-in that exportfs refuses, or that changes
    exports of others, leaves all as it was; an export that goes while clients have it mounted; a directory that
    another inventory has too. A host without a running guard after this run: the table stays,
    for sessions created under another one would be root's.

    + guard_hosts: hosts that need a running guard before the table changes
    + stop_hosts: hosts on which NanoClaw must have stopped before: the server will map their ids in another way
    """
    current = _read_state(plan)
    if refused := export_refusals(plan, current):
        raise OperationError("; ".join(refused))
    kept = kept_exports(plan, current)
    for note in export_notes(plan, current):
        say(note)
    text = exports_text(plan.exports, kept)
    drift = table_drift(plan, current)
    if current.dropin == text and not drift:
        host.noop(f"{len(plan.exports)} exports are in force")
        return
    if failed := _failed(guard_hosts):
        raise OperationError(
            f"exports not changed: the guard of {failed} is not running (systemctl status 'pods-guard-*')"
        )
    if failed := _failed(stop_hosts):
        raise OperationError(f"exports not changed: NanoClaw has not stopped on {failed}: see the error of its stop")
    show_diff(DROPIN, current.dropin, text)
    for reason in drift:
        say(reason)
    before = current.dropin
    digest = None if before is None else hashlib.sha256(before.encode(errors="surrogateescape")).hexdigest()
    change = ExportChange(text, digest, table_entries(plan.exports), removed_exports(plan, current))
    yield run_request(ExportChangeRequest(DROPIN), json.dumps(asdict(change)))
