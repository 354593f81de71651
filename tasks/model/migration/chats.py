"""The disposition of groups, their conversations and their tasks, by the rules of NanoClaw 2.0.64.

What NanoClaw's own steps do with each is in its setup/migrate-v2: db.ts, sessions.ts, tasks.ts, discord-resolver.ts.
"""

import re
from collections import defaultdict
from collections.abc import Iterator

from files.pods.v1.v1_state import Database, Group, Install, Task
from tasks.model.migration.channels import CHANNELS, channel_of
from tasks.model.migration.plan_item import Disposition, PlanItem, counted, listed

Verdict = tuple[Disposition, str]
MIGRATED: Verdict = ("migrated", "")
_OLD = "NanoClaw's own step fails on a database from before 1.2.0, which has no column is_main"
_DISCORD = "NanoClaw's own step asks Discord which server each is in, and skips those that it cannot resolve"


def group_disposition(group: Group, database: Database) -> Verdict:
    """Return the disposition of a registered chat, and why."""
    if group.folder in ("", ".", "..") or "/" in group.folder:
        return "skipped", "its folder is not the name of a directory"
    channel = channel_of(group.jid)
    if channel is None:
        return "skipped", "its name has the form of no channel"
    if channel not in CHANNELS:
        return "skipped", f"v2 has no channel {channel}"
    if not database.is_main:
        return "needs_fix", _OLD
    return ("needs_fix", _DISCORD) if channel == "discord" else MIGRATED


def task_disposition(task: Task, database: Database) -> Verdict:
    """Return the disposition of a scheduled task, and why. NanoClaw's own step needs its folder and chat registered."""
    groups = {group.jid: group for group in database.groups}
    if task.status == "completed":
        return "skipped", "done"
    if task.jid not in groups or task.folder not in {group.folder for group in database.groups}:
        return "skipped", "their group is not registered"
    disposition, why = group_disposition(groups[task.jid], database)
    if disposition == "skipped":
        return "skipped", f"their chat is skipped: {why}"
    if task.status not in ("active", "paused"):
        return "skipped", "v1 itself does not run tasks of this status"
    if task.kind not in ("cron", "interval", "once", "at"):
        return "skipped", "v2 does not know tasks of this kind"
    if (task.kind == "interval" and not _period(task.value)) or (
        task.kind == "cron" and _fields(task) not in range(1, 7)
    ):
        return "skipped", "v1 itself could not schedule them"
    if channel_of(task.jid) == "discord" and task.direct is not False:
        return "needs_fix", "NanoClaw's own step finds no direct chats of Discord"
    if task.status != "active":
        return "needs_fix", "NanoClaw's own step migrates active ones only"
    if task.kind == "interval" and not _is_interval(task.value):
        return "needs_fix", "v1 writes intervals in milliseconds, and NanoClaw's own step skips them"
    if task.kind == "cron" and _fields(task) not in (5, 6):
        return "needs_fix", "NanoClaw's own step does not accept that cron expression"
    return ("needs_fix", "with their groups") if disposition == "needs_fix" else MIGRATED


def _fields(task: Task) -> int:
    return len(task.value.split())


def _period(value: str) -> int:
    """Return the number of an interval, in whatever unit; 0 for an invalid one."""
    match = re.fullmatch("([0-9]{1,15})[smhd]?", value.strip(), re.ASCII)
    return int(match[1]) if match else 0


def _is_interval(value: str) -> bool:
    """Return whether NanoClaw's own step converts it to a cron expression."""
    match = re.fullmatch("([0-9]{1,4})([mhd])", value.strip(), re.ASCII)
    return match is not None and 0 < int(match[1]) < {"m": 60, "h": 24, "d": 28}[match[2]]


def group_items(install: Install) -> Iterator[PlanItem]:
    """Yield registered chats, by disposition."""
    by: defaultdict[Verdict, list[Group]] = defaultdict(list)
    for group in install.database.groups:
        by[group_disposition(group, install.database)].append(group)
    for (disposition, why), groups in by.items():
        names = listed([f"{group.folder} on {channel_of(group.jid) or 'an unknown channel'}" for group in groups])
        text = f"{counted(len(groups), 'group')} {names}"
        yield PlanItem(disposition, text, why, tuple(f"group {group.jid}" for group in groups))


def task_items(install: Install) -> Iterator[PlanItem]:
    """Yield scheduled tasks, by disposition."""
    by: defaultdict[Verdict, list[tuple[int, Task]]] = defaultdict(list)
    for number, task in enumerate(install.database.tasks):
        by[task_disposition(task, install.database)].append((number, task))
    for (disposition, why), tasks in by.items():
        kinds = listed({f"{task.kind} {task.status}".strip() for _number, task in tasks})
        text = f"{counted(len(tasks), 'task')} {kinds}"
        yield PlanItem(disposition, text, why, tuple(f"task {number}" for number, _task in tasks))


def conversation_items(install: Install) -> Iterator[PlanItem]:
    """Yield conversations (data/sessions/FOLDER/.claude), by disposition."""
    dispositions = {group.folder: group_disposition(group, install.database)[0] for group in install.database.groups}
    by: defaultdict[Verdict, list[str]] = defaultdict(list)
    for folder, number in install.conversations.items():
        recorded = folder in install.database.sessions
        by[_conversation_disposition(dispositions.get(folder), number, recorded)].append(folder)
    groups = install.database.groups
    migrated = {group.folder for group in groups if group_disposition(group, install.database)[0] != "skipped"}
    if silent := sorted(migrated - set(install.conversations)):
        text = f"{counted(len(silent), 'group')} without a conversation {listed(silent)}"
        why = "NanoClaw's own step creates no session; the role creates one, and the first message begins it"
        yield PlanItem("needs_fix", text, why, tuple(f"first conversation {folder}" for folder in silent))
    for (disposition, why), folders in by.items():
        text = f"conversations of {counted(len(folders), 'folder')} {listed(folders)}"
        yield PlanItem(disposition, text, why, tuple(f"conversations {folder}" for folder in folders))


def _conversation_disposition(disposition: Disposition | None, number: int, recorded: bool) -> Verdict:
    if disposition is None:
        return "skipped", "no registered group has them"
    if disposition == "skipped":
        return "skipped", "their chat is skipped"
    if number > 1:
        which = "v1's table sessions has the current one" if recorded else "v1 recorded none"
        return "needs_fix", f"each has several, and NanoClaw's own step resumes any of them; {which}"
    if not recorded:
        return "needs_fix", "v1 recorded no current one, and NanoClaw's own step resumes it"
    return ("needs_fix", "with their groups") if disposition == "needs_fix" else MIGRATED
