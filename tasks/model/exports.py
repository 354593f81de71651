"""The text that an NFS server reads: exports(5) and nfs.conf(5)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.model.addresses import ip_address
from tasks.model.plan import Export, ServerPlan, lies_in

DROPIN = "/etc/exports.d/nanoclaw-pods.exports"
CONF = "/etc/nfs.conf.d/nanoclaw-pods.conf"

_HEADER = "# Written by nanoclaw-pods; changes are undone by its next run.\n"


def exports_text(exports: Sequence[Export]) -> str:
    """The drop-in of /etc/exports.d: one line for each client, options stated in full.

    A machine's name may hold anything: a line break or a backslash at its end would make another line of a comment.
    """
    name = re.compile(r"[^A-Za-z0-9._@:+-]")
    lines = [
        f"# {name.sub('?', export.host)}\n{export.path} {export.client}({','.join(export.options)})\n"
        for export in exports
    ]
    return _HEADER + "".join(lines)


def table_entries(exports: Sequence[Export]) -> list[list[str]]:
    """The entries of the table in force that the exports must become, as `files/programs/exports.py` reads them."""
    return sorted([export.path, export.client, *export.options] for export in exports)


def table_drift(plan: ServerPlan, table: Sequence[list[str]], elsewhere: Sequence[list[str]]) -> list[str]:
    """What is wrong with the table in force: entries that are missing or different, and ours that are left over.

    Ours are those of the paths that we export, and those of one address below the export root, which a host that
    left the inventory had. Entries that other files define are theirs and left alone; so are all others.
    """
    wanted, root = table_entries(plan.exports), plan.settings.nfs_export_root
    theirs = {path for _file, path, _client in elsewhere}
    paths = {export.path for export in plan.exports}
    paths |= {path for path, client, *_ in table if lies_in(path, root) and ip_address(client) and path not in theirs}
    others = {(path, client) for _file, path, client in elsewhere}
    drift = [
        f"{path} is not exported to {client} with {','.join(options)}"
        for path, client, *options in wanted
        if [path, client, *options] not in table
    ]
    drift += [
        f"{path} is exported to {client}, which nothing defines"
        for path, client, *_ in table
        if path in paths and (path, client) not in others and not any([path, client] == entry[:2] for entry in wanted)
    ]
    return drift


def conflicts(exports: Sequence[Export], elsewhere: Sequence[list[str]]) -> list[str]:
    """Other files' definitions of what we are to export: of two, the one that exportfs reads first counts."""
    ours = {(export.path, export.client) for export in exports}
    return [f"{file} exports {path} to {client} already" for file, path, client in elsewhere if (path, client) in ours]


def nfs_conf_text(plan: ServerPlan) -> str:
    """The drop-in of /etc/nfs.conf.d: NFSv3 on or off (nfs.conf(5), nfsd)."""
    return f"{_HEADER}[nfsd]\nvers3={'y' if plan.settings.nfs_v3 else 'n'}\n"


def serves_v3(versions: Sequence[str]) -> bool:
    """Whether the running server serves NFSv3 (nfsd(7), versions)."""
    return "+3" in versions
