"""What becomes of groups, their conversations and their tasks. The rules are those of NanoClaw 2.0.64.

What NanoClaw's own steps do with each is in its setup/migrate-v2: db.ts, sessions.ts, tasks.ts, discord-resolver.ts.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from tasks.model.migration.channels import CHANNELS, channel_of
from tasks.model.migration.plan_item import Fate, Item, counted, listed
from tasks.model.migration.v1_state import Database, Group, Install, Task

Verdict = tuple[Fate, str]
CARRIED: Verdict = ("carried", "")
_OLD = "NanoClaw's own step fails on a database from before 1.2.0, which has no column is_main"
_DISCORD = "NanoClaw's own step asks Discord which server each is in, and passes over what it does not learn"


def group_fate(group: Group, database: Database) -> Verdict:
    """What becomes of a registered chat."""
    if group.folder in ("", ".", "..") or "/" in group.folder:
        return "left", "its folder is not the name of a directory"
    channel = channel_of(group.jid)
    if channel is None:
        return "left", "the shape of the chat's name tells no channel"
    if channel not in CHANNELS:
        return "left", f"v2 has no channel {channel}"
    if not database.is_main:
        return "attend", _OLD
    return ("attend", _DISCORD) if channel == "discord" else CARRIED


def task_fate(task: Task, database: Database) -> Verdict:
    """What becomes of a scheduled task. A step of NanoClaw's needs its folder and its chat to be registered."""
    groups = {group.jid: group for group in database.groups}
    if task.status == "completed":
        return "left", "done"
    if task.jid not in groups or task.folder not in {group.folder for group in database.groups}:
        return "left", "of no registered group"
    fate, why = group_fate(groups[task.jid], database)
    if fate == "left":
        return "left", f"their chat is left: {why}"
    if task.status not in ("active", "paused"):
        return "left", "of a status with which v1 itself does not run them"
    if task.kind not in ("cron", "interval", "once", "at"):
        return "left", "of a kind that v2 does not know"
    if (task.kind == "interval" and not _period(task.value)) or (
        task.kind == "cron" and _fields(task) not in range(1, 7)
    ):
        return "left", "v1 itself could not tell their times"
    if channel_of(task.jid) == "discord" and task.direct is not False:
        return "attend", "NanoClaw's own step finds no direct chats of Discord"
    if task.status != "active":
        return "attend", "NanoClaw's own step takes active ones alone"
    if task.kind == "interval" and not _is_interval(task.value):
        return "attend", "v1 writes intervals in milliseconds, and NanoClaw's own step passes over them"
    if task.kind == "cron" and _fields(task) not in (5, 6):
        return "attend", "NanoClaw's own step does not take that cron expression"
    return ("attend", "with their groups") if fate == "attend" else CARRIED


def _fields(task: Task) -> int:
    return len(task.value.split())


def _period(value: str) -> int:
    """What an interval counts, in whatever unit; 0 where it is none."""
    found = re.fullmatch("([0-9]{1,15})[smhd]?", value.strip(), re.ASCII)
    return int(found[1]) if found else 0


def _is_interval(value: str) -> bool:
    """Whether NanoClaw's step makes a cron expression of it."""
    found = re.fullmatch("([0-9]{1,4})([mhd])", value.strip(), re.ASCII)
    return found is not None and 0 < int(found[1]) < {"m": 60, "h": 24, "d": 28}[found[2]]


def group_items(install: Install) -> Iterator[Item]:
    """Registered chats, with the name and the memory of each."""
    by: defaultdict[Verdict, list[Group]] = defaultdict(list)
    for group in install.database.groups:
        by[group_fate(group, install.database)].append(group)
    for (fate, why), groups in by.items():
        names = listed([f"{group.folder} on {channel_of(group.jid) or 'an unknown channel'}" for group in groups])
        text = f"{counted(len(groups), 'group')} {names}"
        yield Item(fate, text, why, tuple(f"group {group.jid}" for group in groups))


def task_items(install: Install) -> Iterator[Item]:
    """Scheduled tasks."""
    by: defaultdict[Verdict, list[tuple[int, Task]]] = defaultdict(list)
    for number, task in enumerate(install.database.tasks):
        by[task_fate(task, install.database)].append((number, task))
    for (fate, why), tasks in by.items():
        kinds = listed({f"{task.kind} {task.status}".strip() for _number, task in tasks})
        text = f"{counted(len(tasks), 'task')} {kinds}"
        yield Item(fate, text, why, tuple(f"task {number}" for number, _task in tasks))


def conversation_items(install: Install) -> Iterator[Item]:
    """What chats and agents have said to each other (data/sessions/FOLDER/.claude), by folder."""
    fates = {group.folder: group_fate(group, install.database)[0] for group in install.database.groups}
    by: defaultdict[Verdict, list[str]] = defaultdict(list)
    for folder, number in install.conversations.items():
        noted = folder in install.database.sessions
        by[_conversation(fates.get(folder), number, noted)].append(folder)
    groups = install.database.groups
    carried = {group.folder for group in groups if group_fate(group, install.database)[0] != "left"}
    if silent := sorted(carried - set(install.conversations)):
        text = f"{counted(len(silent), 'group')} without a conversation {listed(silent)}"
        why = "NanoClaw's own step makes no session; each gets one, and begins its conversation with the first message"
        yield Item("attend", text, why, tuple(f"first conversation {folder}" for folder in silent))
    for (fate, why), folders in by.items():
        text = f"conversations of {counted(len(folders), 'folder')} {listed(folders)}"
        yield Item(fate, text, why, tuple(f"conversations {folder}" for folder in folders))


def _conversation(fate: Fate | None, number: int, noted: bool) -> Verdict:
    if fate is None:
        return "left", "no group is registered for them, so that no chat leads there"
    if fate == "left":
        return "left", "their chat is left"
    if number > 1:
        which = "v1's table sessions says which" if noted else "v1 noted none"
        return "attend", f"each has several, and NanoClaw's own step goes on with any; {which}"
    if not noted:
        return "attend", "v1 noted none that goes on, and NanoClaw's own step goes on with it"
    return ("attend", "with their groups") if fate == "attend" else CARRIED
