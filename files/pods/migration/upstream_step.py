"""Runs one of NanoClaw's own steps of a migration as the host user, and goes by what it prints, not by its status.

Argument: {"root", "user", "uid", "gid", "step": name in setup/migrate-v2, "words": [after the view…], "view",
"mask": umask as octal text}. A step has ended well when it printed a line `OK:…` or `SKIPPED:…`, and no `FAIL:…`;
`MISSING:…`, `ERROR:…` and `TASK_ERROR:…` are about single chats and tasks: they are handed on, and the account judges.
Answer: {"ok": text, "errors": [text], "missing": [text]}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from files.pods.common.failure_text import find_cause
from files.pods.common.run_as_host_user import become_user
from files.pods.common.sanitize import escape_control
from files.pods.source.git_trust import trusting


def main(asked: dict[str, Any]) -> dict[str, Any]:
    become_user(asked["user"], asked["uid"], asked["gid"])
    os.umask(int(asked["mask"], 8))
    words = ["pnpm", "exec", "tsx", f"setup/migrate-v2/{asked['step']}.ts", asked["view"], *asked["words"]]
    with trusting(asked["root"]):
        done = subprocess.run(words, cwd=asked["root"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    said = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
    lines = [line.strip() for line in said.splitlines()]

    def of(*heads: str) -> list[str]:
        return [escape_control(line) for line in lines if line.startswith(heads)]

    good = of("OK:", "SKIPPED:")
    if not good or of("FAIL:"):
        cause = of("FAIL:") + of("ERROR:") or find_cause(said)
        why = "; ".join(cause) or "it printed nothing"
        sys.exit(f"NanoClaw's step {asked['step']} failed (status {done.returncode}): {why}")
    return {"ok": good[0], "errors": of("ERROR:", "TASK_ERROR:"), "missing": of("MISSING:")}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
