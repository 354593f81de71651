"""Audit a migration: compare a NanoClaw v1 with the v2 that was made of it, to prove that nothing was lost.

Changes neither. Run it before v2 first starts, because v2 changes its data and removes groups/global.

Fails if the audit cannot finish.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import sys

from files.pods.common.protocol import decode, print_reply, read_request
from files.pods.common.run_as_ids import MAX_MEMORY, ROOT, run_as
from files.pods.common.sanitize import escape_control
from files.pods.trees.entry import open_directory
from files.pods.v1.audit.chats import Central, Chats, V1Rows, rows_of
from files.pods.v1.audit.databases import database_of
from files.pods.v1.audit.entries import Below
from files.pods.v1.audit.files import OTHER_LIST, Files, allow_list_problem
from files.pods.v1.audit.ledger import Ledger
from files.pods.v1.audit.protocol import AuditReport, AuditRequest
from files.pods.v1.audit.walk import walk_v1
from files.pods.v1.snapshot_dir import FOLDER, enter_read_only


class UnreadableError(Exception):
    """A database that the whole audit depends on cannot be read."""


def read_v1(v1: str, v1_tree: Below, snapshot: Below, scratch: str) -> V1Rows:
    """Read v1's database, and the schedules of the snapshot."""
    try:
        with database_of(snapshot.directory(["store"]), "messages.db", scratch) as of_snapshot:
            at_rest = f"{v1}/store/messages.db"
            os.mkdir(f"{scratch}/v1")
            with database_of(v1_tree.directory(["store"]), "messages.db", f"{scratch}/v1", at_rest) as of_v1:
                return rows_of(of_v1, of_snapshot)
    except (OSError, sqlite3.Error, KeyError) as error:
        raise UnreadableError(f"v1's messages.db, or that of its snapshot, cannot be read: {error}") from error


def read_v2(v2: Below, scratch: str) -> Central:
    """Read v2's central database."""
    try:
        with database_of(v2.directory(["data"]), "v2.db", scratch) as tables:
            return Central(tables)
    except (OSError, sqlite3.Error, KeyError) as error:
        raise UnreadableError(f"v2's data/v2.db cannot be read: {error}") from error


def audit(request: AuditRequest) -> AuditReport:
    """Return the report. Call it in a child process: it changes the mounts of its process."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))  # directories stay open all the way down
    ledger = Ledger(request.left)
    if request.lists and (why := allow_list_problem(request.lists)):
        (ledger.skip if why == OTHER_LIST else ledger.lose)("mount allow-list", why)
    v2, snapshot = (Below(open_directory(path)) for path in (request.root, request.snapshot))
    v1, scratch = enter_read_only(request.v1)
    v1_tree = Below(os.open(v1, FOLDER))
    rows, central = read_v1(v1, v1_tree, snapshot, scratch), read_v2(v2, scratch)
    chats = Chats(rows, central, v1_tree, v2, scratch, ledger)
    chats.audit()
    files = Files(request, v2, chats.migrated, central.agents, ledger)
    files.env(v1_tree, request.env_set)
    return ledger.report(walk_v1(v1, request.deep, ledger, files.take))


def main() -> None:
    """Print the report; exit with the losses if `must` is set."""
    request = read_request(AuditRequest)
    answer = run_as(ROOT, request.seconds, lambda: audit(request).document(), MAX_MEMORY)
    if "value" not in answer:
        sys.exit(f"the audit of {request.v1} did not finish: {escape_control(answer['text'] or answer['error'])}")
    report = decode(AuditReport, answer["value"], request.entry)
    print_reply(report)
    if request.must and report.lost:
        sys.exit("v2 lacks parts of v1: " + "; ".join(f"{one.what}: {one.why}" for one in report.lost[:20]))


if __name__ == "__main__":
    main()
