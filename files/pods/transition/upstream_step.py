"""Run one of NanoClaw's own migration steps as the host user, and judge it by its output, not by its status.

A step succeeded if it printed a line `OK:…` or `SKIPPED:…`, and no `FAIL:…`. `MISSING:…`, `ERROR:…` and `TASK_ERROR:…`
are about single chats and tasks: they are passed on, and the audit judges.
Reply: {"ok": text, "errors": [text], "missing": [text]}.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from files.pods.common.failure_text import find_cause
from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import become_user
from files.pods.common.run_command import run_command
from files.pods.common.sanitize import escape_control
from files.pods.source.git_trust import trusting
from files.pods.transition.protocol import UpstreamStepRequest


def main(request: UpstreamStepRequest) -> dict[str, Any]:
    """Run the step; return the lines that it printed, or exit with the cause of its failure."""
    become_user(request.user, request.uid, request.gid)
    os.umask(int(request.mask, 8))
    argv = ["pnpm", "exec", "tsx", f"setup/migrate-v2/{request.step}.ts", request.snapshot, *request.args]
    with trusting(request.root):
        done = run_command(argv, timeout=None, cwd=request.root)
    output = f"{done.stdout}\n{done.stderr}"
    lines = [line.strip() for line in output.splitlines()]

    def lines_with(*heads: str) -> list[str]:
        return [escape_control(line) for line in lines if line.startswith(heads)]

    successes = lines_with("OK:", "SKIPPED:")
    if not successes or lines_with("FAIL:"):
        cause = lines_with("FAIL:") + lines_with("ERROR:") or find_cause(output)
        why = "; ".join(cause) or "it printed nothing"
        sys.exit(f"NanoClaw's step {request.step} failed (status {done.returncode}): {why}")
    return {"ok": successes[0], "errors": lines_with("ERROR:", "TASK_ERROR:"), "missing": lines_with("MISSING:")}


if __name__ == "__main__":
    print(json.dumps(main(read_request(UpstreamStepRequest))))
