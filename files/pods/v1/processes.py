"""Find what runs a NanoClaw v1: services of all managers, processes, its pid file, its containers.

For programs that import it. It starts nothing: neither a user's manager nor Docker.
"""

from __future__ import annotations

import os
import re
from typing import Any

from files.pods.common.protocol import decode
from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.common.sanitize import escape_control
from files.pods.common.users import home_of, may_write
from files.pods.service.root_agents import running_agents
from files.pods.service.root_processes import root_processes
from files.pods.service.root_units import units
from files.pods.v1.running_state import PidFile, Process, Running, Unasked, Unit


def pid_file(root: str) -> PidFile | None:
    """Read the pid file of start-nanoclaw.sh; `processes` says whether that process is v1."""
    path = f"{root}/nanoclaw.pid"
    if not os.path.lexists(path):
        return None
    text = (read_untrusted_text(path) or "").strip()
    return PidFile(escape_control(path), int(text) if re.fullmatch("[0-9]{1,9}", text) else None)


def processes(root: str) -> list[dict[str, Any]]:
    """Return the processes that run the project root."""
    return root_processes(root, lambda uid: may_write(uid, root))


def containers(root: str) -> list[tuple[str | None, str]] | None:
    """Return the running agents with their daemon; None if unknown."""
    return running_agents(lambda uid: may_write(uid, root))


def homes_of(
    root: str, units: list[dict[str, Any]], running: list[dict[str, Any]], every: list[tuple[int, str]]
) -> list[tuple[str, str]]:
    """Return every home where v1 may have its allow-lists, and why: of a process, a service, or a user who may run it.

    + every: the homes of this machine, with their users
    """
    homes: list[tuple[str | None, str]] = [
        (one["home"] or home_of(one["uid"]), f"process {one['pid']}") for one in running
    ]
    at_work = {(one["manager"], one["of"], one["unit"]) for one in running}
    for unit in units:
        key = (unit["manager"], unit["uid"] if unit["manager"] == "user" else None, unit["name"])
        if unit["home"]:
            homes.append((unit["home"], unit["file"]))
        elif key not in at_work:
            homes.append((home_of(unit["uid"]), unit["file"]))
    if not homes:
        owner, database = os.stat(root).st_uid, os.stat(f"{root}/store/messages.db").st_uid
        homes = [(home_of(owner), f"the owner of {root}"), (home_of(database), "the owner of its database")]
        homes += [(home_of(0), "root")]
        homes += [(home, f"uid {uid}, who may write {root}") for uid, home in every if has_lists(home, uid, root)]
    known: dict[str, str] = {}
    for home, by in homes:
        if home:
            known.setdefault(home, by)
    return list(known.items())


def has_lists(home: str, uid: int, root: str) -> bool:
    """Return whether a home has files of NanoClaw, and its user may have run the project root."""
    return os.path.lexists(f"{home}/.config/nanoclaw") and may_write(uid, root)


def running(
    root: str, homes: dict[int, list[str]], every: list[tuple[int, str]]
) -> tuple[Running, list[tuple[str, str]]]:
    """Return what runs, and homes for inspection, unescaped, each with what names it.

    + homes: those that may have units, by uid
    + every: all of this machine, with their users
    """
    services, alive, agents = units(root, homes), processes(root), containers(root)
    shown = [{**one, "directory": escape_control(one["directory"])} for one in alive]
    runs = Running(
        units=decode(list[Unit], services["units"], "units", exact=False),
        processes=decode(list[Process], shown, "processes", exact=False),
        pid_file=pid_file(root),
        containers=None if agents is None else [f"{where}:{name}" if where else name for where, name in agents],
        unasked=decode(list[Unasked], services["unasked"], "unasked"),
        strangers=services["strangers"],
    )
    return runs, homes_of(root, services["units"], alive, every)
