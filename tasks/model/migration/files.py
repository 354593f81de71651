"""What becomes of files, of secrets and of who may do what. The rules are those of NanoClaw 2.0.64.

What NanoClaw's own steps do with each is in its migrate-v2.sh and setup/migrate-v2: env.ts, groups.ts, channel-auth.ts.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.model.migration.channels import channel_of
from tasks.model.migration.plan_item import Item, counted, listed
from tasks.model.migration.v1_state import Install

_PASSED_OVER = "NanoClaw's own copy passes them over"
_IN_GROUPS = (
    ("link", ("symbolic link", "symbolic links"), _PASSED_OVER),
    (".git", ("nested .git", "nested .git"), f"{_PASSED_OVER}, so that a repository is none any more"),
    ("memory", ("nested CLAUDE.md", "nested CLAUDE.md"), f"{_PASSED_OVER} at every depth"),
    ("logs", ("nested directory named logs", "nested directories named logs"), f"{_PASSED_OVER} at every depth"),
)
_DISCORD_KEYS = ("DISCORD_APPLICATION_ID", "DISCORD_PUBLIC_KEY")


def file_items(install: Install) -> Iterator[Item]:
    """What groups and sessions hold beside memory and conversations."""
    groups, data = install.trees["groups"], install.trees["data"]
    known = {group.folder for group in install.database.groups} | {"global"}
    if install.folders:
        text = f"files of {counted(len(install.folders), 'folder')} in groups"
        others = set(install.folders) - known
        text += f"; {counted(len(others), 'folder')} of no registered group {listed(others)}" if others else ""
        yield Item("carried", text, "", ("files of groups",))
        why = "NanoClaw's own copies are made anew, as whoever makes them"
        yield Item("attend", "times, owners and rights of all copied files", why, ("times and owners",))
    for name, words, why in _IN_GROUPS:
        if number := groups.counts.get(name, 0):
            text = f"{counted(number, *words)} in groups {listed(groups.samples.get(name, []))}"
            yield Item("attend", text, why, (f"{name} in groups",))
    if number := data.counts.get("link", 0):
        text = f"{counted(number, 'symbolic link')} in data {listed(data.samples.get('link', []))}"
        yield Item("attend", text, "one that leads to a directory ends NanoClaw's own step", ("link in data",))
    if number := groups.counts.get("node_modules", 0):
        text = f"node_modules in groups, {number} times"
        yield Item("left", text, "package managers make them again", ("node_modules in groups",))
    if "global" in install.folders:
        why = "v2 removes groups/global at its first start"
        yield Item("attend", "memory that all groups share (groups/global)", why, ("memory of global",))
    if "main" in install.folders:
        why = "a v2 that was started before keeps its own template: it has to be copied before that"
        yield Item("attend", "memory of the main group (groups/main/CLAUDE.md)", why, ("memory of main",))


def secret_items(install: Install) -> Iterator[Item]:
    """What v1 has of secrets."""
    if install.env is None:
        yield Item("attend", "entries of .env", "it is a link, or no file", ("env",))
    elif install.env:
        yield Item("carried", f"{counted(len(install.env), 'entry', 'entries')} of .env", "", ("env",))
        why = "NanoClaw's own step writes .env and data/env/env for everybody to read"
        yield Item("attend", "rights of secrets", why, ("rights of secrets",))
    if install.env_unread:
        numbers = listed([str(number) for number in install.env_unread])
        text = f"{counted(len(install.env_unread), 'line', 'lines')} of .env {numbers}"
        why = "NanoClaw reads no such line: its name is none (export KEY=), or it goes on with a value"
        yield Item("left", text, why, ("env lines",))
    if install.auth:
        text = f"WhatsApp pairing ({counted(install.auth, 'file')} in store/auth)"
        yield Item("attend", text, "NanoClaw's own step looks in other places, so that it would be lost", ("whatsapp",))
    discord = any(channel_of(group.jid) == "discord" for group in install.database.groups)
    if missing := [name for name in _DISCORD_KEYS if discord and name not in (install.env or ())]:
        why = "v2 needs them and v1 had none: set them in nanoclaw_env"
        yield Item("attend", f"keys of Discord {listed(missing)}", why, ("discord keys",))


def access_items(install: Install) -> Iterator[Item]:
    """Who may talk to agents, and what of the host these may have."""
    senders = install.senders
    if senders and not (senders.everybody and not senders.chats):
        why = "NanoClaw's own step opens every group to the public, and v2 does not read the list"
        yield Item("attend", f"sender allow-list ({senders.path})", why, ("senders",))
    elif senders:
        why = "v1 lets everybody in with it, since it " + ("says so" if senders.valid else "is not valid")
        yield Item("left", f"sender allow-list ({senders.path})", why, ("senders",))
    if groups := [group for group in install.database.groups if group.mounts]:
        directories = {mount for group in groups for mount in group.mounts}
        text = f"additional mounts of {counted(len(groups), 'group')} {listed(directories)}"
        why = "lost where v2 was started before; v2 looks for the mount allow-list in the home of nanoclaw_user"
        yield Item("attend", text, why, tuple(f"mounts {group.jid}" for group in groups))
    if install.mounts:
        text = f"mount allow-list ({install.mounts.path}, {counted(install.mounts.roots, 'directory', 'directories')})"
        yield Item("attend", text, "no step of NanoClaw's own copies it", ("mount allow-list",))
    why = "v1 has none; until somebody is v2's owner (ncl roles), commands such as /clear are refused"
    yield Item("left", "the role of owner", why, ("owner",))


def other_items(install: Install) -> Iterator[Item]:
    """All else: the service, skills, what v1 keeps for itself."""
    if system := [unit.name for unit in install.units if unit.manager == "system"]:
        why = "NanoClaw's own script stops user units alone: two would answer"
        yield Item("attend", f"stopping v1's system unit {listed(system)}", why, ("system unit",))
    if install.skills:
        yield Item("carried", f"container skills that v2 lacks, of {listed(install.skills)}", "", ("skills",))
        why = "NanoClaw's own copy of v1's hides v2's of the same names"
        yield Item("attend", "skills in the .claude of each group", why, ("skills of groups",))
    database = install.database
    if database.wal:
        why = "a copy of messages.db alone lacks it"
        yield Item("attend", f"{database.wal >> 10} KiB of log that are not in messages.db yet", why, ("wal",))
    if database.journal:
        why = "a copy of messages.db alone would hold what was never committed"
        yield Item("attend", f"{database.journal >> 10} KiB of rollback journal", why, ("journal",))
    why = "v2 takes none; they stay in v1's store/messages.db"
    yield Item("left", "old messages, and the records of tasks that ran", why, ("history",))
    yield Item("left", "changed agent runners (agent-runner-src)", "v2 has another", ("agent-runner-src",))
    yield Item(
        "left", "logs, and requests between v1 and its agents (data/ipc)", "they are v1's own", ("logs and ipc",)
    )
    if special := sum(tree.counts.get("special", 0) for tree in install.trees.values()):
        yield Item(
            "left", counted(special, "socket, pipe or device", "sockets, pipes or devices"), "not files", ("special",)
        )
