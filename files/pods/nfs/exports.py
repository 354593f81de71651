"""The export table of an NFS server: looks at it, or puts a new drop-in in force.

A drop-in takes effect only if exportfs(8) accepts it beside every other file, and the table in force becomes what the
change states. If not, everything is as before.
"""

from __future__ import annotations

import glob
import json
import os
import sys

from files.pods.common.lstat_below import lstat_below
from files.pods.common.protocol import decode, print_reply, read_request
from files.pods.common.read_text import read_text_or_none
from files.pods.nfs.export_change import change, state_directory, text_if_there
from files.pods.nfs.export_entries import defined, entries, known_path, real_names, roots
from files.pods.nfs.export_state import ExportState
from files.pods.nfs.protocol import ExportChange, ExportChangeRequest, ExportsRequest
from files.pods.nfs.server import connected, mounted_by, service, v3_settings


def read_state(request: ExportsRequest) -> ExportState:
    """Return the export table, its files, the server's state and its clients."""
    dropin, directories = request.dropin, request.directories
    text, state = text_if_there(dropin), state_directory()
    own = list(defined(text or ""))
    names = real_names([*(path for path, _client in own), *directories])
    etab = text_if_there(os.path.join(state, "etab")) or ""
    files = [name for name in ["/etc/exports", *sorted(glob.glob("/etc/exports.d/*.exports"))] if name != dropin]
    elsewhere = [(name, path, client) for name in files for path, client in defined(read_text_or_none(name) or "")]
    return ExportState(
        dropin=text,
        own=[list(key) for key in own],
        conf=read_text_or_none(request.conf),
        tried=read_text_or_none(request.tried),
        table=entries(etab, names),
        roots=roots(etab, names),
        elsewhere=[[name, known_path(path, names), client] for name, path, client in elsewhere],
        directories={path: lstat_below(path, path) for path in directories},
        real={path: os.path.realpath(path) for path in directories},
        clients=connected(),
        mounted=mounted_by(read_text_or_none(os.path.join(state, "rmtab")) or ""),
        **service(),
        **v3_settings(request.conf),
    )


if __name__ == "__main__":
    request = read_request(ExportsRequest, ExportChangeRequest)
    if isinstance(request, ExportChangeRequest):
        change(request.change, decode(ExportChange, json.load(sys.stdin), request.entry))
    elif isinstance(request, ExportsRequest):
        print_reply(read_state(request))
