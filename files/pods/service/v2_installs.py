"""The NanoClaw v2 installs of a machine, and what runs them or would. Changes nothing, and hangs nowhere.

Only users that can start containers count: an agent of NanoClaw is one.
"""

from __future__ import annotations

import grp
import os
import re
import sys
from dataclasses import asdict
from functools import cache
from typing import Any

from files.pods.common.protocol import decode, print_reply, read_request
from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.common.sanitize import escape_control
from files.pods.common.systemctl import running_users
from files.pods.common.users import may_write, passwd_entry
from files.pods.service.protocol import Installed, Installs, InstallsRequest, Service
from files.pods.service.root_processes import root_processes
from files.pods.service.root_units import Listing, list_services, units, would_start
from files.pods.v1.find import by_processes, by_units, every_home, homes_with_units, is_v2

TRACES = ("/etc/systemd/system/{}.service.d/50-nanoclaw-pods.conf", "/var/lib/nanoclaw-pods/{}.image.json")
"""Files of each service that the role runs. One is enough: drift may have removed the other."""


SECONDS = 120


def is_nanoclaw(path: str) -> bool:
    """Whether a directory is a NanoClaw v2, by its package.json."""
    return (
        is_v2(path)
        and re.search(r'"name"\s*:\s*"nanoclaw"', read_untrusted_text(f"{path}/package.json") or "") is not None
    )


def has_docker(uid: int) -> bool:
    """Whether a user can start containers: in Docker's group, or by a daemon of its own (rootless)."""
    entry = passwd_entry(uid)
    try:
        docker = grp.getgrnam("docker").gr_gid
    except KeyError:
        docker = -1
    in_group = entry is not None and docker in os.getgrouplist(entry.pw_name, entry.pw_gid)
    return uid == 0 or in_group or os.path.lexists(f"/run/user/{uid}/docker.sock")


def is_ours(services: list[dict[str, Any]]) -> bool:
    """Whether the role has run one of these services."""
    names = [unit["name"].rpartition(".")[0] for unit in services if unit["manager"] == "system"]
    return any(os.path.lexists(trace.format(name)) for name in names for trace in TRACES)


def project_roots(uid: int, homes: list[tuple[int, str]], listing: Listing) -> list[str]:
    """Return the project roots that units or processes run."""
    users = {
        user for user in {0, uid, *running_users(), *(user for user, _ in homes)} if user == uid or has_docker(user)
    }
    with_units = homes_with_units(homes)
    paths = by_processes(users, is_nanoclaw)
    for manager in (None, *sorted(users & {*running_users(), *with_units})):
        places = with_units.get(manager, []) if manager is not None else []
        paths += by_units(manager, places, is_nanoclaw, None, listing)
    return sorted({path for path, _ in paths})


def install(root: str, homes: list[tuple[int, str]], listing: Listing) -> Installed:
    """Return the services and processes of a project root, and its owner."""
    services = [unit for unit in units(root, homes_with_units(homes), listing)["units"] if would_start(unit)]
    known = {(unit["manager"], unit["name"]) for unit in services}
    running = root_processes(root, lambda uid: may_write(uid, root), None)
    uid = os.stat(root).st_uid
    entry = passwd_entry(uid)
    return Installed(
        root=escape_control(root),
        uid=uid,
        user=entry.pw_name if entry else None,
        ours=is_ours(services),
        units=[Service(*(unit[name] for name in ("manager", "name", "file", "uid", "active"))) for unit in services],
        loose=[one["pid"] for one in running if (one["manager"], one["unit"]) not in known],
    )


def read_state(request: InstallsRequest) -> Installs:
    """Return all installs of this machine."""
    homes, _unseen = every_home()
    listing = cache(list_services)  # each manager describes all of its services, which takes it long

    def all_installs() -> list[dict[str, Any]]:
        return [asdict(install(root, homes, listing)) for root in project_roots(request.uid, homes, listing)]

    return decode(Installs, {"installs": within(SECONDS, all_installs)}, request.entry)


def within(seconds: int, work: Any) -> Any:
    """Return the value of `work` from a child: a dead server cannot hang this program."""
    reply = run_as(ROOT, seconds, work)
    if "value" not in reply:
        sys.exit(f"could not inspect NanoClaw's services: {reply['text'] or reply['error']}")
    return reply["value"]


if __name__ == "__main__":
    print_reply(read_state(read_request(InstallsRequest)))
