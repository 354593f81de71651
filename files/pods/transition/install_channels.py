"""Install channels into v2's checkout with NanoClaw's own scripts, as the host user.

A channel is installed when its script (setup/install-NAME.sh) prints the line `STATUS: installed` or
`STATUS: already-installed`; its exit status means nothing. The scripts change the checkout, and need its remote. The
changes of a script without that line are undone, by this program or, after a crash, by the next one that installs or
builds. Reply: {"installed": [name…], "there": [name…]}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from files.pods.common import run_lock
from files.pods.common.failure_text import find_cause
from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import become_user, run_with_deadline
from files.pods.common.run_command import run_command
from files.pods.source.channel_undo import begin_channel, end_channel, undo_channel
from files.pods.source.git_trust import trusting
from files.pods.source.git_worktree import Tree
from files.pods.transition.protocol import ChannelsRequest


def install(tree: Tree, channel: str) -> str:
    """Run the script of a channel; return the status that it printed, or undo its changes and exit."""
    script = f"setup/install-{channel}.sh"
    if not os.path.isfile(f"{tree.root}/{script}"):
        sys.exit(
            f"v1 has chats on {channel}, and this version of v2 has no {script}: set nanoclaw_ref to one that has it"
        )
    begin_channel(tree, channel)
    # Its children hold the lock as well: they may outlive this program.
    done = run_command(["bash", script], timeout=None, cwd=tree.root, stderr=subprocess.STDOUT, close_fds=False)
    lines = [line.strip() for line in reversed(done.stdout.splitlines())]
    status = next((line.partition(":")[2].strip() for line in lines if line.startswith("STATUS:")), "")
    if status not in ("installed", "already-installed"):
        undo_channel(tree)
        cause = "; ".join(find_cause(done.stdout)) or "it printed nothing"
        why = f"{script} did not install {channel} ({status or f'status {done.returncode}'}): {cause}"
        sys.exit(f"{why}. Its changes are undone. Remove the cause, then run again.")
    end_channel(tree, changed=status == "installed")
    return status


def main(root: str, channels: list[str]) -> dict[str, list[str]]:
    """Install each channel; undo first what a crash left."""
    tree = Tree(root)
    undo_channel(tree)
    with trusting(tree.root):
        statuses = {channel: install(tree, channel) for channel in channels}
    return {
        "installed": [channel for channel, status in statuses.items() if status == "installed"],
        "there": [channel for channel, status in statuses.items() if status != "installed"],
    }


if __name__ == "__main__":
    request = read_request(ChannelsRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(1800, request.root)
    become_user(request.user, request.uid, request.gid)
    print(json.dumps(main(request.root, request.channels)))
