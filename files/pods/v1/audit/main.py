"""Proves that a migration lost nothing: compares a NanoClaw v1 with the v2 that was made of it. Changes neither.

To be run before v2 is first started, which goes on with what it was given and removes groups/global.

Argument: {"v1", "root": v2's project root, "view": directory with what v1's intervals became (store/messages.db),
"agent": {"uid", "gid"}, "host": {"uid", "gid"}, "deep": whether contents are compared, and not only sizes and times,
"seconds", "left": [{"what", "why"}: known to be left], "env_set": [names in .env that the role sets],
"lists": {"v1_home", and "home" or whose it is, "user"} or null,
"must": whether it fails where something is lost (may be left out)}.
Answer: {"counts": {kind: {"v1", "v2": of them, as they should be}}, "lost": [{"what", "why"}], "left": [the same],
"more": {"lost", "left": how many are not listed}, "digest": of the whole of v1}. Fails where it comes to no end.
"""

from __future__ import annotations

import json
import os
import pwd
import resource
import sqlite3
import sys
from typing import Any

from files.pods.common.run_as_ids import MAX_MEMORY, ROOT, run_as
from files.pods.common.sanitize import escape_control
from files.pods.trees.entry import open_directory
from files.pods.v1.audit.chats import Central, Chats, Said, said_by
from files.pods.v1.audit.databases import database_of
from files.pods.v1.audit.entries import Below
from files.pods.v1.audit.files import ANOTHER, Files, allow_list_why
from files.pods.v1.audit.ledger import Ledger
from files.pods.v1.audit.walk import whole_pass
from files.pods.v1.snapshot_dir import FOLDER, view


class UnreadableError(Exception):
    """A database that everything else depends on."""


def said_of(v1: str, seen: Below, above_view: Below, scratch: str) -> Said:
    try:
        with database_of(above_view.directory(["store"]), "messages.db", scratch) as of_view:
            at_rest = f"{v1}/store/messages.db"
            os.mkdir(f"{scratch}/v1")
            with database_of(seen.directory(["store"]), "messages.db", f"{scratch}/v1", at_rest) as of_v1:
                return said_by(of_v1, of_view)
    except (OSError, sqlite3.Error, KeyError) as error:
        raise UnreadableError(f"v1's messages.db, or that of its view, cannot be read: {error}") from error


def central_of(v2: Below, scratch: str) -> Central:
    try:
        with database_of(v2.directory(["data"]), "v2.db", scratch) as tables:
            return Central(tables)
    except (OSError, sqlite3.Error, KeyError) as error:
        raise UnreadableError(f"v2's data/v2.db cannot be read: {error}") from error


def account(told: dict[str, Any]) -> dict[str, Any]:
    """The answer. To be called in a process of its own, whose mounts it changes."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))  # directories stay open all the way down
    ledger = Ledger(told["left"])
    if told["lists"]:
        home = told["lists"].get("home") or pwd.getpwnam(told["lists"]["user"]).pw_dir
        told["lists"] = {**told["lists"], "home": home}
    if told["lists"] and (why := allow_list_why(told["lists"])):
        (ledger.leave if why == ANOTHER else ledger.lose)("mount allow-list", why)
    v2, above_view = (Below(open_directory(told[name])) for name in ("root", "view"))
    v1, scratch = view(told["v1"])
    seen = Below(os.open(v1, FOLDER))
    said, central = said_of(v1, seen, above_view, scratch), central_of(v2, scratch)
    chats = Chats(said, central, seen, v2, scratch, ledger)
    chats.account()
    files = Files(told, v2, chats.carried, central.agents, ledger)
    files.env(seen, told["env_set"])
    digest = whole_pass(v1, told["deep"], ledger, files.take)
    return {**ledger.answer(), "digest": digest}


def main() -> None:
    told = json.loads(sys.argv[1])
    answer = run_as(ROOT, told["seconds"], lambda: account(told), MAX_MEMORY)
    if "value" not in answer:
        sys.exit(f"the account of {told['v1']} came to no end: {escape_control(answer['text'] or answer['error'])}")
    print(json.dumps(answer["value"]))
    if told.get("must") and (lost := answer["value"]["lost"]):
        sys.exit("v2 does not have all: " + "; ".join(f"{one['what']}: {one['why']}" for one in lost[:20]))


if __name__ == "__main__":
    main()
