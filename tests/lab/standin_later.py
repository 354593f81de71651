"""Later versions of the stand-in NanoClaw: what each needs of its machine, and how it fails without that.

Each is the version before it with the files of `nanoclaw_later/TAG` and some edits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.lab.standin_edits import (
    Tree,
    add_dependency,
    add_migration,
    drop_dependency,
    edit,
    make_available,
    package,
    require_of_sessions,
)

SOURCES = Path(__file__).parent / "nanoclaw_later"
ANNOTATED = ("v2.3.0", "v2.4.0", "v2026.10.0")
"""Tags with a message of their own: those from 2.2.0 on."""
_STAYING = (
    "/** Containers stay at a stop; the next start stops those that are left, as up to 2.2.0. "
    "From 2.3.0 they are adopted. */"
)
_GIT = """const git = (name) => execFileSync('git', ['rev-parse', name], { encoding: 'utf8' }).trim();

/** What is checked out; nothing where git cannot say, and then the version alone counts. */
function commit() {
  try {
    return { commit: git('HEAD'), tree: git('HEAD^{tree}') };
  } catch {
    return {};
  }
}

"""


def later_releases(tree: Tree) -> list[tuple[str, Tree]]:
    """Return the versions after a tree, in their order."""
    releases = []
    for tag, change in _CHANGES.items():
        tree = {**tree, **_files_of(tag)}
        change(tree)
        package(tree, version=tag.removeprefix("v"))
        releases.append((tag, tree))
    return releases


def _files_of(tag: str) -> Tree:
    folder = SOURCES / tag
    paths = [path for path in folder.rglob("*") if path.is_file()]
    programs = {path for path in paths if path.suffix == ".sh" or path.parent.name == "bin"}
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), path in programs) for path in paths}


def _marker(tree: Tree) -> None:
    """From this version on the host exits unless data/upgrade-state.json has its version."""
    index = "src/index.js"
    edit(
        tree,
        index,
        "import * as store",
        "import { enforceUpgradeMarker } from './upgrade-state.js';\nimport * as store",
    )
    edit(tree, index, "  await breaker.enforce();\n", "  await breaker.enforce();\n  enforceUpgradeMarker();\n")


def _instance(tree: Tree) -> None:
    """OneCLI must serve /v1. The database is migrated, and earlier versions cannot create chats in it."""
    add_dependency(tree, "@onecli-sh/sdk", "2.2.1", "onecli-sdk")
    store = "src/store.js"
    edit(
        tree,
        store,
        "import { CENTRAL } from",
        "import { SCHEMA_VERSION, pending } from './migrations.js';\nimport { CENTRAL } from",
    )
    read = "  for (const group of await run(CENTRAL_DB, 'SELECT * FROM agent_groups;'))"
    applied = "  const applied = await run(CENTRAL_DB, `${SCHEMA_VERSION}SELECT name FROM schema_version;`);\n"
    migrate = "  for (const sql of pending(applied.map(({ name }) => name))) await run(CENTRAL_DB, sql);\n"
    edit(tree, store, read, applied + migrate + read)
    edit(tree, store, "platform_id: platformId, unknown", "platform_id: platformId, instance: 'cli', unknown")
    edit(tree, "src/wiring.js", "...about, unknown", "...about, instance: about.channel_type, unknown")
    tree["container/agent-runner/bun.lock"] = (b'{ "lockfileVersion": 1 }\n', False)


def _skills(tree: Tree) -> None:
    """Channels are skills, and their scripts are gone. Groups have a memory. ncl.sock is opened last."""
    for name in ("channel", "telegram", "whatsapp"):
        del tree[f"setup/install-{name}.sh"]
    for name in ("telegram", "whatsapp"):
        make_available(tree, f"chat-adapter-{name}", "chat-adapter")
    add_migration(tree, "message-policies", "ALTER TABLE messaging_groups ADD COLUMN policies TEXT;")
    add_migration(tree, "approver", "ALTER TABLE agent_groups ADD COLUMN approver TEXT;")
    index = "src/index.js"
    edit(
        tree,
        index,
        "import { DELIVERY_MS",
        "import { closeCommands, serveCommands } from './cli/socket-server.js';\nimport { DELIVERY_MS",
    )
    edit(tree, index, "  sweep();\n  log", "  sweep();\n  serveCommands();\n  log")
    edit(tree, index, "  breaker.reset();\n", "  closeCommands();\n  breaker.reset();\n")
    edit(
        tree,
        "src/containers.js",
        "'--label', LABEL,",
        "'--label', LABEL, '--cap-drop=ALL', '--security-opt=no-new-privileges',",
    )
    before = "  writeIfAbsent(join(dir, 'CLAUDE.local.md'), '');\n"
    memory = "  writeIfAbsent(join(dir, 'memory', 'MEMORY.md'), '');\n"
    edit(tree, "src/layout.js", before, "  mkdirSync(join(dir, 'memory'), { recursive: true });\n" + memory)
    think = '    { mkdir -p "$AGENT/conversations"'
    remember = '    echo "$1" >> "$AGENT/memory/MEMORY.md" || return 1\n'
    edit(tree, "container/agent-runner/src/agent.sh", think, remember + think)


def _adoption(tree: Tree) -> None:
    """Needs Node 22.14, adopts agents of the last start, gives them a file of theirs, binds the marker to the commit.

    Earlier versions cannot create sessions in its database.
    """
    add_dependency(tree, "better-sqlite3", "13.0.3", "better-sqlite3")
    package(tree, engines={"node": ">=22"})
    edit(
        tree,
        "src/index.js",
        "  await containers.stopOrphans();\n",
        "  await containers.adopt(store.sessions, ended);\n",
    )
    edit(tree, "src/index.js", _STAYING, "/** Containers stay at a stop; the next start adopts them. */")
    edit(
        tree,
        "src/store.js",
        "import { CENTRAL } from",
        "import { checkNative } from './native.js';\nimport { CENTRAL } from",
    )
    edit(tree, "src/store.js", "open() {\n", "open() {\n  checkNative();\n")
    require_of_sessions(tree, "mailbox", "sqlite")
    agent = "container/agent-runner/src/agent.sh"
    edit(tree, agent, "TRANSCRIPTS=", "CONTEXT=${NANOCLAW_CONTEXT:-/app/.nanoclaw-session.json}\nTRANSCRIPTS=")
    entered = 'cd "$AGENT" || die "cannot enter $AGENT"\n'
    edit(tree, agent, entered, entered + 'cat "$CONTEXT" > /dev/null || die "cannot read $CONTEXT"\n')
    upgrade = "src/upgrade-state.js"
    edit(tree, upgrade, "import { mkdirSync", "import { execFileSync } from 'node:child_process';\nimport { mkdirSync")
    edit(tree, upgrade, "function code() {\n", _GIT + "function code() {\n")
    edit(tree, upgrade, "  return { version: JSON", "  return { ...commit(), version: JSON")


def _gateway(tree: Tree) -> None:
    """A gateway is a skill, and none is applied: the host exits at its start. Agents get its stub, the host's own."""
    drop_dependency(tree, "@onecli-sh/sdk", "onecli-sdk")
    registry = "'./gateway-providers/gateway-provider-registry.js';\n"
    index = "src/index.js"
    edit(
        tree,
        index,
        "import * as store",
        f"import './gateway-providers/installed.js';\nimport {{ requireGateway }} from {registry}import * as store",
    )
    edit(tree, index, "  await store.open();\n", "  requireGateway();\n  await store.open();\n")
    containers = "src/containers.js"
    edit(tree, containers, "import { groupDir", f"import {{ gatewayMounts }} from {registry}import {{ groupDir")
    context = "    [contextFile(session), '/app/.nanoclaw-session.json', 'ro'],\n"
    edit(tree, containers, context, context + "    ...gatewayMounts(),\n")
    barrel = "gateway-providers/installed"
    edit(
        tree,
        "scripts/build.mjs",
        "writeFileSync('dist/version.json'",
        f"cpSync('src/{barrel}.ts', 'dist/{barrel}.js');\nwriteFileSync('dist/version.json'",
    )
    require_of_sessions(tree, "gateway", "own", "mailbox")


def _calendar(tree: Tree) -> None:
    """Versions are dates. The setup commits what a skill writes, and carries the marker over to that commit."""
    upgrade = "src/upgrade-state.js"
    edit(tree, upgrade, "function code() {\n", "export function code() {\n")
    drive = "setup/lib/drive.js"
    edit(tree, drive, "import { join } from 'node:path';", "import { basename, join } from 'node:path';")
    edit(
        tree,
        drive,
        "import { parseDirectives } from './skill-document.js';\n",
        "import { commitApplied } from './setup-commit.js';\nimport { parseDirectives } from './skill-document.js';\n",
    )
    edit(
        tree,
        drive,
        "  return status === 'success';\n",
        "  if (status === 'success') commitApplied(basename(directory));\n  return status === 'success';\n",
    )
    require_of_sessions(tree, "origin", "host", "mailbox", "gateway")


_CHANGES: dict[str, Callable[[Tree], None]] = {
    "v2.1.0": _marker,
    "v2.1.17": _instance,
    "v2.1.54": _skills,
    "v2.3.0": _adoption,
    "v2.4.0": _gateway,
    "v2026.10.0": _calendar,
}
LATER = tuple(_CHANGES)
