"""Makes sessions as NanoClaw v2 does, each in an agent group of its own, so many a second.

Argument: {"root", "marks" (a directory elsewhere on the same file system), "label", "count", "rate", "staging" (null,
or a directory on that file system in which all are made first, to be moved into the root at the rate: as fast as a slow
machine never makes them)}. A file of the session's name in `marks` is created when all of a session is
there: from then on its container may start. Answer: {"made", "seconds", "reached" (sessions a second)}.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time

SKILLS = ("agent-browser", "slack-formatting")
TABLES = (
    "CREATE TABLE messages (id TEXT PRIMARY KEY, seq INTEGER UNIQUE, content TEXT)",
    "CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT)",
)


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def database(path: str) -> None:
    """A database with a rollback journal, open for one transaction only."""
    opened = sqlite3.connect(path)
    opened.execute("PRAGMA journal_mode = DELETE")
    with opened:
        for table in TABLES:
            opened.execute(table)
    opened.close()


def session(root: str, name: str) -> None:
    group, folder = f"{root}/{name}", f"{root}/{name}/sess-1"
    os.makedirs(f"{group}/.claude-shared/skills")
    write(f"{group}/.claude-shared/settings.json", "{}\n")
    for skill in SKILLS:
        os.symlink(f"/app/skills/{skill}", f"{group}/.claude-shared/skills/{skill}")
    os.mkdir(folder)
    os.mkdir(f"{folder}/outbox")
    database(f"{folder}/inbound.db")
    database(f"{folder}/outbound.db")
    os.makedirs(f"{folder}/inbox/msg-1")
    write(f"{folder}/inbox/msg-1/note.txt", "hello\n")


if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    names = [f"{request['label']}-{number}" for number in range(request["count"])]
    for name in names if request["staging"] else ():
        session(request["staging"], name)
    begun = time.monotonic()
    for number, name in enumerate(names):
        time.sleep(max(0.0, begun + number / request["rate"] - time.monotonic()))
        if request["staging"]:
            os.rename(f"{request['staging']}/{name}", f"{request['root']}/{name}")
        else:
            session(request["root"], name)
        write(f"{request['marks']}/{name}", "")
    seconds = time.monotonic() - begun
    answer = {"made": request["count"], "seconds": round(seconds, 1), "reached": round(request["count"] / seconds, 1)}
    print(json.dumps(answer))
