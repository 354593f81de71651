"""Edits of a tree of the stand-in NanoClaw: how a version differs from the one before it."""

from __future__ import annotations

import json

Tree = dict[str, tuple[bytes, bool]]  # path: content, executable
_SESSION_COLUMNS = """
        id TEXT PRIMARY KEY, agent_group_id TEXT NOT NULL REFERENCES agent_groups(id), messaging_group_id TEXT,
        thread_id TEXT, agent_provider TEXT, status TEXT DEFAULT 'active', container_status TEXT DEFAULT 'stopped',
        last_active TEXT, created_at TEXT NOT NULL"""


def edit(tree: Tree, path: str, old: str, new: str) -> None:
    """Replace a text that a file has exactly once."""
    content, executable = tree[path]
    text = content.decode()
    if text.count(old) != 1:
        raise ValueError(f"{path} holds {old!r} {text.count(old)} times, not once")
    tree[path] = (text.replace(old, new).encode(), executable)


def package(tree: Tree, **changes: object) -> None:
    """Change fields of package.json."""
    document = json.loads(tree["package.json"][0])
    tree["package.json"] = (json.dumps({**document, **changes}, indent=2).encode() + b"\n", False)


def add_dependency(tree: Tree, name: str, version: str, folder: str) -> None:
    """Add a dependency with a version from this tree, so that no registry is needed."""
    dependencies = json.loads(tree["package.json"][0])["dependencies"]
    package(tree, dependencies={**dependencies, name: version})
    edit(tree, "pnpm-lock.yaml", "    dependencies:\n", "    dependencies:\n" + _importer(name, folder))
    make_available(tree, name, folder)


def drop_dependency(tree: Tree, name: str, folder: str) -> None:
    """Drop a dependency; its package stays available, for a skill that adds it."""
    dependencies = json.loads(tree["package.json"][0])["dependencies"]
    package(tree, dependencies={key: version for key, version in dependencies.items() if key != name})
    edit(tree, "pnpm-lock.yaml", _importer(name, folder), "")


def make_available(tree: Tree, name: str, folder: str) -> None:
    """Have a package of this tree stand for one of the registry."""
    overrides = json.loads(tree["package.json"][0]).get("pnpm", {}).get("overrides", {})
    link = f"link:packages/{folder}"
    package(tree, pnpm={"overrides": {**overrides, name: link}})
    if "overrides:" not in tree["pnpm-lock.yaml"][0].decode():
        edit(tree, "pnpm-lock.yaml", "importers:\n", "overrides:\n\nimporters:\n")
    edit(tree, "pnpm-lock.yaml", "overrides:\n", f"overrides:\n  {_key(name)}: {link}\n")


def _importer(name: str, folder: str) -> str:
    link = f"link:packages/{folder}"
    return f"      {_key(name)}:\n        specifier: {link}\n        version: {link}\n"


def _key(name: str) -> str:
    return f"'{name}'" if name.startswith("@") else name


def add_migration(tree: Tree, name: str, sql: str) -> None:
    """Add a migration of the central database, after those of earlier versions."""
    edit(tree, "src/migrations.js", "},\n];\n", f"}},\n  {{\n    name: '{name}',\n    sql: `{sql}`,\n  }},\n];\n")


def require_of_sessions(tree: Tree, column: str, value: str, *before: str) -> None:
    """Have sessions need a column, which code before this version does not know: it cannot create any.

    + before: the columns that earlier versions have added so
    """
    columns = "".join(f", {name} TEXT NOT NULL" for name in (*before, column))
    sql = f"""
      CREATE TABLE sessions_next ({_SESSION_COLUMNS}{columns});
      INSERT INTO sessions_next SELECT *, '{value}' FROM sessions;
      DROP TABLE sessions;
      ALTER TABLE sessions_next RENAME TO sessions;"""
    add_migration(tree, f"session-{column}", sql)
    edit(tree, "src/store.js", "thread_id: thread", f"{column}: '{value}', thread_id: thread")
