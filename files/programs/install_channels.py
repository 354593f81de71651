"""Has NanoClaw's own scripts put channels into v2's checkout, as the host user.

Argument: {"root", "user", "uid", "gid", "lock", "channels": [name…]}. A channel is there when its script
(setup/install-NAME.sh) says so in its line `STATUS: installed` or `STATUS: already-installed`; its exit status says
nothing. The scripts change the checkout, and need its remote. Answer: {"installed": [name…], "there": [name…]}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from files.programs.alone import alone
from files.programs.host_user import become, within
from files.programs.printable import shown


def status(root: str, channel: str) -> str:
    script = f"setup/install-{channel}.sh"
    if not os.path.isfile(f"{root}/{script}"):
        sys.exit(f"v1 has chats on {channel}, and this version of v2 has no {script}: choose another nanoclaw_ref")
    done = subprocess.run(["bash", script], cwd=root, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    lines = [line.strip() for line in (done.stdout + b"\n" + done.stderr).decode(errors="replace").splitlines()]
    said = next((line.partition(":")[2].strip() for line in reversed(lines) if line.startswith("STATUS:")), "")
    if said not in ("installed", "already-installed"):
        last = [shown(line) for line in lines if line][-5:]
        sys.exit(f"{script} did not install {channel} ({said or f'status {done.returncode}'}): {'; '.join(last)}")
    return said


def main(asked: dict[str, Any]) -> dict[str, list[str]]:
    said = {channel: status(asked["root"], channel) for channel in asked["channels"]}
    return {
        "installed": [channel for channel, word in said.items() if word == "installed"],
        "there": [channel for channel, word in said.items() if word != "installed"],
    }


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    alone(told["lock"])
    within(1800, told["root"])
    become(told["user"], told["uid"], told["gid"])
    print(json.dumps(main(told)))
