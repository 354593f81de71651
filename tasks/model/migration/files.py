"""The disposition of files, secrets and permissions, by the rules of NanoClaw 2.0.64.

What NanoClaw's own steps do with each is in its migrate-v2.sh and setup/migrate-v2: env.ts, groups.ts, channel-auth.ts.
"""

from collections.abc import Iterator

from files.pods.v1.v1_state import Install
from tasks.model.migration.channels import channel_of
from tasks.model.migration.plan_item import PlanItem, counted, listed

_SKIPPED = "NanoClaw's own copy skips them"
_IN_GROUPS = (
    ("link", ("symbolic link", "symbolic links"), _SKIPPED),
    (".git", ("nested .git", "nested .git"), f"{_SKIPPED}, so a repository no longer works"),
    ("memory", ("nested CLAUDE.md", "nested CLAUDE.md"), f"{_SKIPPED} at every depth"),
    ("logs", ("nested directory named logs", "nested directories named logs"), f"{_SKIPPED} at every depth"),
)
_DISCORD_KEYS = ("DISCORD_APPLICATION_ID", "DISCORD_PUBLIC_KEY")


def file_items(install: Install) -> Iterator[PlanItem]:
    """Yield the files of groups and sessions beside memory and conversations."""
    groups, data = install.trees["groups"], install.trees["data"]
    known = {group.folder for group in install.database.groups} | {"global"}
    if install.folders:
        text = f"files of {counted(len(install.folders), 'folder')} in groups"
        others = set(install.folders) - known
        text += f"; {counted(len(others), 'folder')} without a registered group {listed(others)}" if others else ""
        yield PlanItem("migrated", text, "", ("files of groups",))
        why = "NanoClaw's own copies are new files of the user who copies"
        yield PlanItem("needs_fix", "times, owners and modes of all copied files", why, ("times and owners",))
    for name, forms, why in _IN_GROUPS:
        if number := groups.counts.get(name, 0):
            text = f"{counted(number, *forms)} in groups {listed(groups.samples.get(name, []))}"
            yield PlanItem("needs_fix", text, why, (f"{name} in groups",))
    if number := data.counts.get("link", 0):
        text = f"{counted(number, 'symbolic link')} in data {listed(data.samples.get('link', []))}"
        yield PlanItem("needs_fix", text, "a link to a directory aborts NanoClaw's own step", ("link in data",))
    if number := groups.counts.get("node_modules", 0):
        text = f"node_modules in groups, {number} times"
        yield PlanItem("skipped", text, "package managers create them again", ("node_modules in groups",))
    if "global" in install.folders:
        why = "v2 removes groups/global at its first start"
        yield PlanItem("needs_fix", "memory that all groups share (groups/global)", why, ("memory of global",))
    if "main" in install.folders:
        why = "a v2 that was started before keeps its own template, so it is copied before that"
        yield PlanItem("needs_fix", "memory of the main group (groups/main/CLAUDE.md)", why, ("memory of main",))


def secret_items(install: Install) -> Iterator[PlanItem]:
    """Yield v1's secrets: .env, pairing and keys."""
    if install.env is None:
        yield PlanItem("needs_fix", "entries of .env", "it is a link, or no file", ("env",))
    elif install.env:
        yield PlanItem("migrated", f"{counted(len(install.env), 'entry', 'entries')} of .env", "", ("env",))
        why = "NanoClaw's own step makes .env and data/env/env world-readable"
        yield PlanItem("needs_fix", "modes of secrets", why, ("modes of secrets",))
    if install.env_unread:
        numbers = listed([str(number) for number in install.env_unread])
        text = f"{counted(len(install.env_unread), 'line', 'lines')} of .env {numbers}"
        why = "NanoClaw reads no such line: its name is invalid (export KEY=), or it continues a value"
        yield PlanItem("skipped", text, why, ("env lines",))
    if install.auth:
        text = f"WhatsApp pairing ({counted(install.auth, 'file')} in store/auth)"
        yield PlanItem("needs_fix", text, "NanoClaw's own step looks in other directories and loses it", ("whatsapp",))
    discord = any(channel_of(group.jid) == "discord" for group in install.database.groups)
    if missing := [name for name in _DISCORD_KEYS if discord and name not in (install.env or ())]:
        why = "v2 needs them and v1 had none: set them in nanoclaw_env"
        yield PlanItem("needs_fix", f"keys of Discord {listed(missing)}", why, ("discord keys",))


def access_items(install: Install) -> Iterator[PlanItem]:
    """Yield who may talk to agents, and which directories of the host these may mount."""
    senders = install.senders
    if senders and not (senders.everybody and not senders.chats):
        why = "NanoClaw's own step opens every group to the public, and v2 does not read the list"
        yield PlanItem("needs_fix", f"sender allow-list ({senders.path})", why, ("senders",))
    elif senders:
        why = "v1 lets everybody in: it " + ("says so" if senders.valid else "is not valid")
        yield PlanItem("skipped", f"sender allow-list ({senders.path})", why, ("senders",))
    if groups := [group for group in install.database.groups if group.mounts]:
        directories = {mount for group in groups for mount in group.mounts}
        text = f"additional mounts of {counted(len(groups), 'group')} {listed(directories)}"
        why = "lost where v2 was started before; v2 looks for the mount allow-list in the home of nanoclaw_user"
        yield PlanItem("needs_fix", text, why, tuple(f"mounts {group.jid}" for group in groups))
    if install.mounts:
        text = f"mount allow-list ({install.mounts.path}, {counted(install.mounts.roots, 'directory', 'directories')})"
        yield PlanItem("needs_fix", text, "no step of NanoClaw's own copies it", ("mount allow-list",))
    why = "v1 has none; until somebody is v2's owner (ncl roles), commands such as /clear are refused"
    yield PlanItem("skipped", "the role of owner", why, ("owner",))


def other_items(install: Install) -> Iterator[PlanItem]:
    """Yield the rest: the service, skills, logs and history."""
    if system := [unit.name for unit in install.units if unit.manager == "system"]:
        why = "NanoClaw's own script stops user units only, so v1 and v2 would both answer"
        yield PlanItem("needs_fix", f"stopping v1's system unit {listed(system)}", why, ("system unit",))
    if install.skills:
        yield PlanItem("migrated", f"container skills that v2 lacks, of {listed(install.skills)}", "", ("skills",))
        why = "NanoClaw's own copy of v1's hides v2's of the same names"
        yield PlanItem("needs_fix", "skills in the .claude of each group", why, ("skills of groups",))
    database = install.database
    if database.wal:
        why = "a copy of messages.db only lacks it"
        yield PlanItem(
            "needs_fix", f"{database.wal >> 10} KiB of write-ahead log that is not in messages.db yet", why, ("wal",)
        )
    if database.journal:
        why = "a copy of messages.db only would have uncommitted changes"
        yield PlanItem("needs_fix", f"{database.journal >> 10} KiB of rollback journal", why, ("journal",))
    why = "v2 has no place for them; they stay in v1's store/messages.db"
    yield PlanItem("skipped", "old messages, and the records of tasks that ran", why, ("history",))
    yield PlanItem("skipped", "changed agent runners (agent-runner-src)", "v2 has another", ("agent-runner-src",))
    yield PlanItem(
        "skipped", "logs, and requests between v1 and its agents (data/ipc)", "v2 does not read them", ("logs and ipc",)
    )
    if special := sum(tree.counts.get("special", 0) for tree in install.trees.values()):
        yield PlanItem(
            "skipped",
            counted(special, "socket, pipe or device", "sockets, pipes or devices"),
            "not files",
            ("special",),
        )
