"""Has NanoClaw's own scripts put channels into v2's checkout, as the host user.

Argument: {"root", "user", "uid", "gid", "lock", "channels": [name…]}. A channel is there when its script
(setup/install-NAME.sh) says so in its line `STATUS: installed` or `STATUS: already-installed`; its exit status says
nothing. The scripts change the checkout, and need its remote. What a script without that line has changed is undone,
by this program or, after a crash, by the next one that installs or builds. Answer: {"installed": [name…],
"there": [name…]}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from files.pods.common import run_lock
from files.pods.common.failure_text import find_cause
from files.pods.common.run_as_host_user import become_user, run_with_deadline
from files.pods.source.channel_undo import begin_channel, end_channel, undo_channel
from files.pods.source.git_trust import trusting
from files.pods.source.git_worktree import Tree


def install(tree: Tree, channel: str) -> str:
    script = f"setup/install-{channel}.sh"
    if not os.path.isfile(f"{tree.root}/{script}"):
        sys.exit(f"v1 has chats on {channel}, and this version of v2 has no {script}: choose another nanoclaw_ref")
    begin_channel(tree, channel)
    done = subprocess.run(
        ["bash", script],
        cwd=tree.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        close_fds=False,  # it has the lock as well, for it may go on without this program
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    lines = [line.strip() for line in reversed(said.splitlines())]
    status = next((line.partition(":")[2].strip() for line in lines if line.startswith("STATUS:")), "")
    if status not in ("installed", "already-installed"):
        undo_channel(tree)
        cause = "; ".join(find_cause(said)) or "it printed nothing"
        why = f"{script} did not install {channel} ({status or f'status {done.returncode}'}): {cause}"
        sys.exit(f"{why}. Its changes are undone. Remove the cause, then run again.")
    end_channel(tree, changed=status == "installed")
    return status


def main(asked: dict[str, Any]) -> dict[str, list[str]]:
    tree = Tree(asked["root"])
    undo_channel(tree)
    with trusting(tree.root):
        said = {channel: install(tree, channel) for channel in asked["channels"]}
    return {
        "installed": [channel for channel, word in said.items() if word == "installed"],
        "there": [channel for channel, word in said.items() if word != "installed"],
    }


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    run_lock.acquire(told["lock"])
    run_with_deadline(1800, told["root"])
    become_user(told["user"], told["uid"], told["gid"])
    print(json.dumps(main(told)))
