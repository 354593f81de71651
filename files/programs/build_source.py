"""Installs NanoClaw's dependencies by its lock file and builds it, then writes down what it was built from.

Argument: {"root", "user", "uid", "gid", "lock", "source" (what is to be written down)}. The note of an earlier build
goes away first, so that an unfinished one is done again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from files.programs.alone import alone
from files.programs.host_user import become, flush, forget_errors, within

STAMP = ".git/nanoclaw-pods-build"


def run(root: str, *words: str) -> None:
    done = subprocess.run(
        words,
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        close_fds=False,  # it has the lock as well, for it may go on without this program
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)} in {root} failed:\n{done.stdout[-4000:]}")


def last_node(stamp: str) -> str | None:
    try:
        with open(stamp, encoding="utf-8") as file:
            return str(json.load(file).get("node"))
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    root, source = told["root"], told["source"]
    alone(told["lock"])
    within(1700, root)
    become(told["user"], told["uid"], told["gid"])
    forget_errors(root)
    stamp = os.path.join(root, STAMP)
    same_node = last_node(stamp) == source["node"] or not os.path.exists(os.path.join(root, "node_modules"))
    if os.path.exists(stamp):
        os.unlink(stamp)
    run(root, "pnpm", "install", "--frozen-lockfile")
    if not same_node:
        run(root, "pnpm", "rebuild")
    run(root, "pnpm", "run", "build")
    if not os.path.exists(os.path.join(root, "dist/index.js")):
        sys.exit(f"pnpm run build ended well, but there is no {root}/dist/index.js")
    flush(root)
    with open(stamp + ".new", "w", encoding="utf-8") as file:
        json.dump({**source, "finished": time.time()}, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(stamp + ".new", stamp)
