"""Looks at a process that watches directories until it has all its watches, and then at what it costs while idle.

Argument: {"pid", "limit": seconds to wait, "quiet": seconds without a new watch after which it has all, "idle": seconds
to look on}. Answer: {"seconds" (from the
process's start to the last new watch, looked at every other second), "cpu_to_there" (in which it worked, until it was
quiet), "complete" (it became quiet before the limit), "watches", "rss_kb", "slab_kb", "idle_cpu"}.
"""

from __future__ import annotations

import json
import os
import sys
import time

PAUSE = 2.0
TICKS = os.sysconf("SC_CLK_TCK")


def watches(pid: int) -> int:
    """Lines of inotify in the fdinfo of all that the process has open (proc_pid_fdinfo(5))."""
    number = 0
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            if "inotify" in os.readlink(f"/proc/{pid}/fd/{name}"):
                with open(f"/proc/{pid}/fdinfo/{name}", "rb") as file:
                    number += file.read().count(b"inotify wd:")
        except FileNotFoundError:
            continue  # it was closed meanwhile
    return number


def fields(pid: int) -> list[str]:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def cpu(pid: int) -> float:
    """User and system time so far, in seconds."""
    return (int(fields(pid)[11]) + int(fields(pid)[12])) / TICKS


def age(pid: int) -> float:
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0]) - int(fields(pid)[19]) / TICKS


def kilobytes(path: str, key: str) -> int:
    with open(path, encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{key}:"))


request = json.loads(sys.argv[1])
pid: int = request["pid"]
last_count, seconds, spent, ended = -1, 0.0, cpu(pid), False
since = begun = time.monotonic()
while not ended and time.monotonic() - begun < request["limit"]:
    number, used = watches(pid), cpu(pid)
    if number != last_count or used - spent > 0.2 * PAUSE:  # new ones, or still at work
        seconds, since = (age(pid) if number != last_count else seconds), time.monotonic()
        to_there = used
    last_count, spent = number, used
    ended = time.monotonic() - since > request["quiet"]
    time.sleep(PAUSE)
answer = {"seconds": round(seconds, 1), "watches": last_count, "rss_kb": kilobytes(f"/proc/{pid}/status", "VmRSS")}
answer |= {"cpu_to_there": round(to_there, 2), "slab_kb": kilobytes("/proc/meminfo", "Slab"), "complete": ended}
before = cpu(pid)
time.sleep(request["idle"])
print(json.dumps({**answer, "idle_cpu": round(cpu(pid) - before, 2)}))
