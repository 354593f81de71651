"""Refusals of a migration, each with the way out."""

import re
from collections.abc import Iterator

from files.pods.transition.protocol import Progress
from files.pods.v1.v1_state import Candidate, Database, Install, V1State
from tasks.model.fleet.checks import v1_problem
from tasks.model.fleet.plan import HostPlan
from tasks.model.migration.disk_space import Need
from tasks.model.migration.doubts import agent_doubts, home_doubts, manager_doubts
from tasks.model.migration.paths import service
from tasks.model.migration.plan import MigrationPlan
from tasks.model.migration.plan_item import counted, listed
from tasks.model.migration.plan_text import size
from tasks.model.migration.refusal import Refusal as Refusal

KEY = "nanoclaw_v1_dir"
NAME_IT = f"set {KEY} to the directory of the v1 to migrate"


def plan_refusal(state: V1State | None, host: HostPlan) -> Refusal | None:
    """Return why there is no plan: not exactly one v1 was found, or its database cannot be read."""
    if state is None:
        return Refusal("the inspection of NanoClaw v1 failed", "fix the error above, and run again")
    if state.error is not None:
        return Refusal(
            f"the inspection of NanoClaw v1 did not finish: {state.error}",
            "check the server of that file system, and root's permissions there, and run again",
        )
    if state.install is None:
        return _not_one(state, host)
    if problem := v1_problem(state.install.path, host.root, host.settings.pods_path):
        why, way_out = re.split("[:;] ", problem.text, maxsplit=1)
        return Refusal(why, way_out)
    return _database(state.install.database, state.install.path)


def _not_one(state: V1State, host: HostPlan) -> Refusal:
    installs = [candidate for candidate in state.candidates if candidate.kind == "v1" and candidate.trusted]
    if len(installs) > 1:
        return Refusal(f"several installs of NanoClaw v1 were found, {_each(installs)}", NAME_IT)
    if host.settings.nanoclaw_v1_dir == "auto":
        others = f"; inspected {_each(state.candidates)}" if state.candidates else ""
        unseen = f"; not inspected {', '.join(state.unseen)}" if state.unseen else ""
        return Refusal(f"no NanoClaw v1 was found{others}{unseen}", f"{NAME_IT}, or remove the setting")
    path = str(host.settings.nanoclaw_v1_dir)
    kinds = [candidate.kind for candidate in state.candidates]
    if "v2" in kinds:
        return Refusal(f"{path} is a NanoClaw v2, as its package.json says", f"{NAME_IT}, or remove the setting")
    if "no database" in kinds:
        return _missing(path)
    return Refusal(f"{path} is no directory of this machine", f"{NAME_IT}, or remove the setting")


def _each(candidates: list[Candidate]) -> str:
    kinds = {"v1": "", "v2": ", a v2", "no database": ", without store/messages.db", "absent": ", no directory"}
    others = {True: "", False: ", of a user that is neither root nor the host user"}
    shown = [f"{one.path} ({', '.join(one.by)}{kinds[one.kind]}{others[one.trusted]})" for one in candidates[:5]]
    more = f" and {len(candidates) - 5} more" if len(candidates) > 5 else ""
    return ", ".join(shown) + more


def _missing(path: str) -> Refusal:
    return Refusal(f"{path} has no database, store/messages.db", f"restore it from a backup, or {NAME_IT}")


def _database(database: Database, path: str) -> Refusal | None:
    file = f"{path}/store/messages.db"
    if database.state == "read":
        return None
    if database.state == "missing":
        return _missing(path)
    if database.state == "corrupt":
        save = "stop v1, and restore it from a backup or save what is left (sqlite3 messages.db .recover)"
        return Refusal(f"{file} is corrupt ({database.text})", save)
    if database.state == "foreign":
        start = f"start v1 once in version 1.1.6 or newer, which makes it, or {NAME_IT}"
        return Refusal(f"{file} is no database of NanoClaw v1 ({database.text})", start)
    settle = "start and stop v1 once, so that nothing is left beside the database, and run again"
    return Refusal(f"{file} cannot be read ({database.text})", settle)


def rollback_refusals(install: Install, host: HostPlan) -> Iterator[Refusal]:
    """Return why v1 could not be started again; v2 then keeps running."""
    way_out = f"make sure that one service runs {install.path}, or remove nanoclaw_v1_rollback: v2 continues to serve"
    if len(install.units) != 1:
        files = ", ".join(unit.file for unit in install.units) or "none"
        yield Refusal(f"a rollback needs one service that runs v1, and there is {files}", way_out)
    elif install.units[0].active in ("unknown", "no manager"):
        why = f"the manager of {install.units[0].file} does not answer, so v1 would not start"
        yield Refusal(why, f"{way_out}; loginctl enable-linger lets a user's manager run without a login")


def progress_refusal(progress: Progress, host: HostPlan) -> Iterator[Refusal]:
    """Return why a migration or a v2 on the machine is in the way."""
    if progress.under_way:
        wait = f"wait for its end (systemctl status {service(host)}) and run again"
        yield Refusal("a migration is under way on this machine", wait)
    if progress.v2_has_state and progress.journal is None:
        other = f"set nanoclaw_root to another directory, or remove {KEY} to continue with that v2"
        yield Refusal(f"the v2 in {host.root} has been used already, and a v1 is not merged into it", other)


def refusals(install: Install, plan: MigrationPlan, host: HostPlan) -> Iterator[Refusal]:
    """Return why an install with a plan cannot be migrated as it is."""
    senders = install.senders
    chosen = host.settings.nanoclaw_v1_unknown_senders
    if senders and not (senders.everybody and not senders.chats) and chosen is None:
        why = f"v1 answers only the senders in {senders.path}, and v2 does not read it"
        why = why if senders.read else f"root may not read {senders.path}, which lists the senders that v1 answers"
        yield Refusal(why, "set nanoclaw_v1_unknown_senders to strict, or to public")
    if install.env is None:
        why = f"{install.path}/.env is a link, no file, or larger than 1 MiB, and is not migrated"
        yield Refusal(why, "replace it with the file itself")
    if install.mounts and not install.mounts.read:
        why = f"{install.mounts.path} is a link, or no file that root may read, and is not migrated"
        yield Refusal(why, "replace it with the file itself")
    yield from _trees(install)
    yield from _services(install)
    yield from manager_doubts(install)
    yield from home_doubts(install)
    yield from agent_doubts(install)
    yield from _owners(install)
    for need in plan.needs:
        if not need.fits:
            yield Refusal(_full(need), "free some space, or make the file system larger")


def _full(need: Need) -> str:
    needed, free = [], []
    if need.free is not None and need.free < need.bytes:
        needed, free = [size(need.bytes)], [size(need.free)]
    if need.free_entries is not None and need.free_entries < need.entries:
        needed, free = [*needed, f"{need.entries} inodes"], [*free, f"{need.free_entries} inodes"]
    return f"{' and '.join(need.paths)} would need {' and '.join(needed)}, and has {' and '.join(free)} free"


def _trees(install: Install) -> Iterator[Refusal]:
    for name, tree in install.trees.items():
        path = f"{install.path}/{name}"
        if tree.state in ("link", "no directory"):
            why = f"{path} is a {'symbolic link' if tree.state == 'link' else 'file'}, and links are not followed"
            yield Refusal(why, "replace it with the directory itself (a bind mount works)")
        elif unread := tree.counts.get("unreadable", 0) or int(tree.state == "unreadable"):
            some = listed(tree.samples.get("unreadable", [name]))
            why = f"root may not read all of {path}, {counted(unread, 'entry', 'entries')} {some}"
            yield Refusal(why, "export it to this host with no_root_squash until it is migrated")
        if blocking := tree.counts.get("in the way"):
            some = listed(tree.samples["in the way"])
            why = f"{counted(blocking, 'entry', 'entries')} of {path} cannot be migrated {some}"
            ways = "replace a link with its target"
            if name == "groups":
                ways += (
                    "; CLAUDE.local.md, CLAUDE.global.md or container.json of a group: v2 writes its own, so rename it"
                )
            yield Refusal(why, ways)
    if install.elsewhere:
        why = f"other file systems are mounted in it {listed(install.elsewhere)}, and they are not inspected"
        yield Refusal(why, "unmount them, and mount them in v2 once it runs")


def _services(install: Install) -> Iterator[Refusal]:
    loose = [process for process in install.processes if not any(process.is_of(unit) for unit in install.units)]
    for process in loose:
        noted = install.pid_file is not None and install.pid_file.pid == process.pid
        by = f" ({install.pid_file.file})" if noted and install.pid_file else ""
        why = (
            f"v1 runs outside of its services, as process {process.pid}{by}, and could not be restarted after a failure"
        )
        way_out = f"stop it (kill {process.pid}) and run it as nanoclaw.service, or leave it stopped"
        yield Refusal(why, way_out)
    if len(install.units) > 1:
        each = ", ".join(f"{unit.file} ({unit.active})" for unit in install.units)
        why = f"{len(install.units)} services run it, {each}, and only one can be restarted after a failure"
        yield Refusal(why, "stop and disable all but one, and remove their files")
    for unit in install.units:
        if unit.active == "unknown":
            way_out = f"check systemctl {'--user ' if unit.manager == 'user' else ''}show {unit.name}, and run again"
            yield Refusal(f"the state of {unit.file} is not known", way_out)
        if unit.active == "no manager":
            why = f"the user of {unit.file} has no service manager now, so v1 could not be restarted"
            yield Refusal(why, f"let it run without a login: loginctl enable-linger {unit.uid}")


def _owners(install: Install) -> Iterator[Refusal]:
    owner, database = install.owner.uid, install.database.uid
    runners: set[int | None] = {unit.uid for unit in install.units} | {one.uid for one in install.processes}
    if None in runners:
        unit = next(unit for unit in install.units if unit.uid is None)
        yield Refusal(f"{unit.file} runs as a user that this machine does not know", "correct its User=")
    elif install.home is None:
        why = f"{install.path} belongs to uid {owner}, no user of this machine, so v1's allow-lists are not found"
        yield Refusal(why, f"chown it to the user that ran it (chown -R USER: {install.path})")
    for runner in sorted(uid for uid in runners if uid):
        if owner != runner or database != runner:
            why = f"v1 runs as uid {runner}, and {install.path} belongs to uid {owner}, its database to uid {database}"
            yield Refusal(why, f"chown it to the user that runs it (chown -R {runner}: {install.path})")
