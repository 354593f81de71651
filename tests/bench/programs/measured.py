"""Runs a command and says what it took.

Argument, on standard input: {"argv": [words], "limit": seconds}. Answer: {"seconds", "exit" (null: it was ended at its
limit), "largest_kb", "tree_kb", "said": its last lines}. largest_kb is the peak of the largest process (getrusage(2)),
and never less than that of this program, which it was before it became another; tree_kb the highest sum of the peaks
(VmHWM, proc(5)) of all processes that ran at one time, looked at each second and at first more often; 0 for what was
over before that.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

PAUSE, FIRST = 1.0, 0.2


def children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def peak(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    except OSError:
        return 0


def peaks(pid: int) -> int:
    """The peaks of a process and of all below it, in kB."""
    return peak(pid) + sum(peaks(child) for child in children(pid))


request = json.load(sys.stdin)
with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
    begun = time.monotonic()
    process = subprocess.Popen(
        request["argv"], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    tree, ended = 0, False
    while True:
        try:
            process.wait(PAUSE if time.monotonic() - begun > 2 else FIRST)
            break
        except subprocess.TimeoutExpired:
            tree = max(tree, peaks(process.pid))
        if time.monotonic() - begun > request["limit"]:
            ended = True
            os.killpg(process.pid, signal.SIGKILL)
    seconds = time.monotonic() - begun
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 50_000))
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    answer = {"seconds": round(seconds, 2), "exit": None if ended else process.returncode, "largest_kb": largest}
    print(json.dumps({**answer, "tree_kb": tree, "said": output.read().splitlines()[-5:]}))
