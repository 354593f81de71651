"""How soon the guard gives new sessions to their agent, what it costs while idle, and inotifywait beside it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.model.ownership.guard import guard_unit
from tests.bench.delays import WINDOW, delays, entries
from tests.bench.trees import FOLDER, put
from tests.e2e.fleet import Fleet
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.shell import say
from tests.lab.topology import host, server

HOST = "host-root"
RATES = {1: 60, 10: 300, 100: 640}
"""Sessions a second, and how many: a thousand in all."""
MOVED = {10: 100, 100: 200}
"""The same, moved in whole: the lab's machines are too slow to make so many."""
DIRECTORIES = 100_000
IDLE, LIMIT, QUIET = 60, 1500, 10
SETTLE = 20
"""Seconds after the last session until one looks: what is not given by then is left to a sweep."""

WHAT = (
    "a host that the role made (pods_access chown, sessions on NFS). A program makes sessions as root as NanoClaw does "
    "(13 entries each, two of them databases with journals). All times are the server's own, of its ext4 (statx(2): "
    "birth and change), by steps of 10 ms: from the birth of a session's first directory to the last change of any of "
    "its entries, which is its last chown where that came after the last write. failed_sessions: some entry was not "
    f"the agent's {WINDOW} s after its birth, and not when all of its session had been made; failed_after_made: not "
    f"{WINDOW} s after that. The keys of rate are what was asked of the machine, reached what it came to. moved_in: "
    "made elsewhere first, and moved in whole at that rate; all is counted from the move"
)
WATCHED = (
    "a tree of so many directories, all of which guard and inotifywait watch, after the caches of host and server were "
    "emptied. seconds: to the last watch. The guard reads the owners of all entries meanwhile, inotifywait -m -r does "
    "not. limited: with the kernel's own fs.inotify.max_user_watches; the other two with 1,000,000. slab_kb: all "
    "kernel objects of the machine, before and after: a watch keeps an inode. idle_cpu: seconds of 60. "
    "lines_in_the_journal: as many as journald kept"
)


def measure_sessions(divide: int, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """New sessions, in a lab of its own."""
    with _bench("bench-own-guard") as bench:
        return {"what": WHAT, **bench.sessions(divide, keep)}


def measure_idle(divide: int, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """A large tree in which nothing happens, in a lab of its own."""
    with _bench("bench-own-idle") as bench:
        return {"what": WATCHED, **bench.idle(divide, keep)}


@contextmanager
def _bench(name: str) -> Iterator[Bench]:
    topology = (replace(server(), disk=6), host(HOST, memory=2048))
    with Lab(name, topology).running(fresh=True) as lab:
        disk, machine = lab["server"], lab[HOST]
        disk.succeed("mkfs.ext4 -q -N 400000 /dev/ubdb && mkdir -p /srv/pods && mount /dev/ubdb /srv/pods", timeout=600)
        fleet = Fleet.of(lab, HOST)
        fleet.data[HOST] |= {"pods_access": "chown"}
        fleet.data[HOST].pop("nanoclaw_root")
        fleet.deploy(timeout=1800)
        yield Bench(fleet, disk, machine)


class Bench:
    """The host with its guard, and where the server keeps its sessions."""

    def __init__(self, fleet: Fleet, disk: Machine, machine: Machine) -> None:
        self.disk, self.machine = disk, machine
        plan = fleet.host(HOST)
        self.sessions_path, self.agent, self.pods = plan.sessions, plan.stored_agent.uid, plan.settings.pods_path
        self.unit = guard_unit(plan)
        self.stored = f"/srv/pods/{HOST}/{Path(plan.sessions).name}"
        put(machine, "make_sessions", "watcher")
        put(disk, "make_trees")
        disk.succeed(f"test -d {self.stored}")

    def sessions(self, divide: int, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """A thousand sessions, at each rate some."""
        marks = f"{self.pods}/marks"
        self.machine.succeed(f"mkdir -p {marks}")
        made = {str(rate): self._rate(f"new-{rate}", rate, count // divide, None) for rate, count in RATES.items()}
        keep({"rate": made})
        staging = f"{self.pods}/staging"
        self.machine.succeed(f"mkdir -p {staging}")
        moved = {
            str(rate): self._rate(f"moved-{rate}", rate, count // divide, staging) for rate, count in MOVED.items()
        }
        keys = ("sessions", "failed_sessions", "failed_after_made", "not_given_yet")
        total = {key: sum(each[key] for each in made.values()) for key in keys}
        return {"window": WINDOW, "rate": made, **total, "moved_in": moved}

    def _rate(self, label: str, rate: int, count: int, staging: str | None) -> dict[str, Any]:
        # what is moved stays within one mount, and NanoClaw's own path is another than the one of the pods (rename(2))
        root = f"{self.pods}/{Path(self.stored).name}" if staging else self.sessions_path
        request = {"root": root, "marks": f"{self.pods}/marks", "label": label, "count": max(1, count)}
        argument = shlex.quote(json.dumps({**request, "rate": rate, "staging": staging}))
        done = json.loads(self.machine.succeed(f"python3 {FOLDER}/make_sessions.py {argument}", timeout=2400))
        self.machine.succeed(f"sleep {SETTLE}", timeout=SETTLE + 120)
        listing = self._listing(self.stored, f"{label}-*")
        whole = {entry.session: entry.born for entry in self._listing(f"/srv/pods/{HOST}/marks", f"{label}-*")}
        figures = {"reached": done["reached"], **delays(listing, whole, moved=staging is not None)}
        say(f"guard: {label}: {json.dumps(figures)}")
        return figures

    def _listing(self, folder: str, names: str) -> list[Any]:
        command = "stat --printf '%.9W %.9Z %u %n\\n'"  # find's own -printf knows no birth on Linux
        command = f"cd {folder} && find . -mindepth 1 -path './{names}' -exec {command} {{}} +"
        return entries(self.disk.succeed(command, timeout=300), self.agent)

    def idle(self, divide: int, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """The guard over a large tree that is right, with the kernel's limit and with a high one; then inotifywait."""
        below, made = f"{self.stored}.base", DIRECTORIES // divide
        self.machine.succeed(f"systemctl stop {self.unit}")
        self.disk.succeed(
            f"mkdir {below} && python3 {FOLDER}/make_trees.py {below}/tree {made} only-directories && "
            f"chown -R {self.agent}:{self.agent} {below} && mv {below}/tree/* {self.stored}/ && rm -r {below}",
            timeout=1800,
        )
        figures: dict[str, Any] = {"directories": made}
        figures["max_user_watches"] = int(self.machine.succeed("sysctl -n fs.inotify.max_user_watches"))
        figures["guard, limited"] = self._guard(0)
        self.machine.succeed("sysctl -q fs.inotify.max_user_watches=1000000")
        figures["guard"] = self._guard(IDLE)
        keep(figures)
        figures["inotifywait"] = self._inotifywait()
        self.machine.succeed(f"systemctl start {self.unit}")
        return figures

    def _slab(self) -> int:
        """Kernel objects of the machine after its caches were emptied, as those of the server were."""
        for machine in (self.disk, self.machine):
            machine.succeed("sync && echo 3 > /proc/sys/vm/drop_caches", timeout=600)
        return int(self.machine.succeed("awk '/^Slab:/ {print $2}' /proc/meminfo"))

    def _watch(self, pid: str, idle: int) -> dict[str, Any]:
        request = shlex.quote(json.dumps({"pid": int(pid), "limit": LIMIT, "quiet": QUIET, "idle": idle}))
        printed = self.machine.succeed(f"python3 {FOLDER}/watcher.py {request}", timeout=LIMIT + idle + 120)
        answer: dict[str, Any] = json.loads(printed)
        return answer

    def _guard(self, idle: int) -> dict[str, Any]:
        before = self._slab()
        self.machine.succeed(f"systemctl start {self.unit}")
        pid = self.machine.succeed(f"systemctl show -P MainPID {self.unit}").strip()
        usage = self._watch(pid, idle)
        output = self.machine.succeed(f"journalctl -q --no-pager -o cat _PID={pid} | wc -l", timeout=300)
        self.machine.succeed(f"systemctl stop {self.unit}")
        usage |= {"slab_kb_before": before, "lines_in_the_journal": int(output)}
        say(f"guard: over the large tree: {json.dumps(usage)}")
        return usage

    def _inotifywait(self) -> dict[str, Any]:
        if self.machine.run("command -v inotifywait", check=False).returncode != 0:
            return {"not_measured": "the machine has no inotify-tools"}
        before = self._slab()
        command = f"inotifywait -m -r -e create,moved_to {self.sessions_path}"
        pid = self.machine.succeed(f"setsid {command} > /run/told 2>&1 < /dev/null & echo $!").strip()
        usage = self._watch(pid, IDLE)
        output = self.machine.succeed(f"kill {pid}; cat /run/told")
        return {**usage, "slab_kb_before": before, "command": command, "established": "Watches established" in output}


def sentence_of_sessions(figures: dict[str, Any]) -> str:
    """The result in one line."""
    each = [
        f"{rate}/s (reached {of['reached']}): p50 {of['from_mkdir_to_last_chown']['p50']} s, p99 "
        f"{of['from_mkdir_to_last_chown']['p99']} s, worst {of['from_mkdir_to_last_chown']['worst']} s"
        for rate, of in figures["rate"].items()
    ]
    return f"guard: {'; '.join(each)}; {figures['failed_sessions']} of {figures['sessions']} would have failed"


def sentence_of_idle(figures: dict[str, Any]) -> str:
    """The result in one line."""
    guard = figures["guard"]
    return (
        f"guard: idle over {figures['directories']} directories: {guard['rss_kb']} kB, {guard['idle_cpu']} s of CPU "
        f"in {IDLE} s, {guard['watches']} watches after {guard['seconds']} s; inotifywait: {figures['inotifywait']}"
    )
