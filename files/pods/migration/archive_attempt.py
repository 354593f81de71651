"""Puts aside what an earlier attempt of a migration has left of v2, so that the next one begins with nothing.

Argument: {"root", "journal": path, "trees": {"v2-sessions": path, "groups": path}, "view": of v1, "env_set": [names…],
"user", "uid", "gid"}. Central database, sessions and groups move into nanoclaw-pods-aside-N beside each of them, on
the same file system, and stay there. Entries that came from v1 leave .env, but for those that the role sets. Only what
this role's migration has made is moved: without an attempt before this one nothing is, nor what was made ready and
never started. Answer: {"moved": [where it is now…]}. Runs as the host user, whose files they are.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from files.pods.common.atomic_write import replace
from files.pods.common.dotenv import V1_HEADING, parse
from files.pods.common.read_untrusted import read_untrusted_bytes, read_untrusted_text
from files.pods.common.run_as_host_user import become_user, on_network
from files.pods.trees.entry import OPEN_DIRECTORY, open_directory


def move(directory: str, names: list[str], aside: str) -> bool:
    """Moves entries of a directory; what an end in the middle left is moved the next time."""
    found = [name for name in names if os.path.lexists(f"{directory}/{name}")]
    if found:
        os.makedirs(aside, exist_ok=True)
    for name in found:
        os.rename(f"{directory}/{name}", f"{aside}/{name}")
    return bool(found)


def free(parent: str) -> str:
    """A name that nothing has yet."""
    number = 1
    while os.path.lexists(f"{parent}/nanoclaw-pods-aside-{number}"):
        number += 1
    return f"{parent}/nanoclaw-pods-aside-{number}"


def forget_entries(path: str, copied: set[str], aside: str) -> None:
    """Takes the entries from .env that NanoClaw's own step has copied from v1: v1 may have others now.

    What was added since stays. All of it as it was is kept in `aside`.
    """
    try:
        text = read_untrusted_bytes(path).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return
    before, mark, after = text.partition(V1_HEADING)
    if not mark:
        return
    lines = [line for line in after.splitlines(keepends=True) if not copied & set(parse(line))]
    os.makedirs(aside, exist_ok=True)
    replace(f"{aside}/.env", text.encode("utf-8", "surrogateescape"), 0o600)
    rest = "".join(lines).lstrip("\n")
    replace(path, f"{before.rstrip(chr(10))}\n{rest}".encode("utf-8", "surrogateescape"), 0o600)


def places(asked: dict[str, Any]) -> dict[str, str]:
    """Where what lies in a directory goes to, by that directory."""
    parents = (f"{asked['root']}/data", *map(os.path.dirname, asked["trees"].values()))
    return {parent: free(parent) for parent in parents}


def make_places(beside: dict[str, str], uid: int, gid: int) -> None:
    """As root, on a disk of this machine: the directory that holds sessions and groups there is root's.

    Others may write in some of these: what is chowned is the directory that was made, by its descriptor.
    """
    for parent, aside in beside.items():
        if not on_network(parent):
            above, name = open_directory(parent), os.path.basename(aside)
            try:
                os.mkdir(name, 0o700, dir_fd=above)
                made = os.open(name, OPEN_DIRECTORY, dir_fd=above)
                if os.fstat(made).st_uid != os.geteuid() or os.listdir(made):
                    sys.exit(f"{aside} was replaced while it was made: see who writes in {parent}, then run again")
                os.fchown(made, uid, gid)
                os.fchmod(made, 0o755)
                os.close(made)
            finally:
                os.close(above)


def main(asked: dict[str, Any], due: bool, copied: set[str], beside: dict[str, str]) -> dict[str, Any]:
    """+ copied: names that v1's .env had, and that the role does not set"""
    data = f"{asked['root']}/data"
    forget_entries(f"{asked['root']}/.env", copied, beside[data])
    if not due:
        return {"moved": []}
    moved = []
    for name, tree in asked["trees"].items():
        aside = f"{beside[os.path.dirname(tree)]}/{name}"
        if move(tree, [entry for entry in sorted(os.listdir(tree)) if entry != "lost+found"], aside):
            moved.append(aside)
    aside = beside[data]
    # The database goes last: while it is there, an end in the middle is seen and finished by the next attempt.
    if move(data, ["v2.db-wal", "v2.db-shm", "v2.db"], aside):
        moved.append(aside)
    return {"moved": moved}


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    with open(told["journal"], encoding="utf-8") as notes:
        journal = json.load(notes)
    if journal["attempt"] < 2 or not os.path.lexists(f"{told['root']}/data/v2.db"):
        print(json.dumps({"moved": []}))
        sys.exit()
    names = set(parse(read_untrusted_text(f"{told['view']}/.env") or "")) - set(
        told["env_set"]
    )  # as root: it may be another user's
    where = places(told)
    if journal["aside"]:
        make_places(where, told["uid"], told["gid"])
    become_user(told["user"], told["uid"], told["gid"])
    print(json.dumps(main(told, journal["aside"], names, where)))
