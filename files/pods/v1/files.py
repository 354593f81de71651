"""Read the files of a NanoClaw v1 beside its database: for programs that import it. Of secrets, only names."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from files.pods.common.dotenv import safe_labels, unread_lines
from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.common.sanitize import escape_control
from files.pods.trees.entry import open_directory

MOST_LINES = 1000


def version_of(root: str) -> str | None:
    """Return the version in package.json."""
    text = read_untrusted_text(f"{root}/package.json") or ""
    match = re.search(r'"version"\s*:\s*"([0-9][^"]{0,30})"', text)
    return escape_control(match[1]) if match else None


def names_in(path: str) -> list[str]:
    """Return the names in a directory; none if it is a link or missing."""
    try:
        fd = open_directory(path)
    except OSError:
        return []
    try:
        return sorted(os.listdir(fd))
    finally:
        os.close(fd)


def folders_in(path: str) -> list[str]:
    """Return the names of the directories in a directory, without links."""
    return [name for name in names_in(path) if os.path.isdir(f"{path}/{name}") and not os.path.islink(f"{path}/{name}")]


def conversations(root: str, folder: str) -> int:
    """Count the conversations of a folder."""
    place = f"{root}/data/sessions/{folder}/.claude/projects/-workspace-group"
    return sum(name.endswith(".jsonl") for name in names_in(place))


def env_of(root: str) -> dict[str, Any]:
    """Return the entries of .env by name or line number, and the lines that NanoClaw does not read.

    `env` is None if .env is a link, no file, or too large.
    """
    text = read_untrusted_text(f"{root}/.env") if os.path.lexists(f"{root}/.env") else ""
    if text is None:
        return {"env": None, "env_unread": []}
    return {"env": sorted(safe_labels(text).values()), "env_unread": unread_lines(text)[:MOST_LINES]}


def may_exist(path: str) -> bool:
    """Return whether v1 may find a path; true also if root cannot tell, as in a private home on NFS."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def senders(home: str | None) -> dict[str, Any] | None:
    """Read the sender allow-list. v1 follows links to it, and lets everybody in if it is not valid."""
    path = f"{home}/.config/nanoclaw/sender-allowlist.json"
    if home is None or not may_exist(path):
        return None
    text = read_untrusted_text(path, follow=True)
    nothing = {
        "path": escape_control(path),
        "read": text is not None,
        "valid": False,
        "everybody": text is not None,
        "chats": 0,
    }
    try:
        content = json.loads(text or "")
        everybody = content["default"]["allow"] == "*"
        return {**nothing, "valid": True, "everybody": everybody, "chats": len(content.get("chats") or {})}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return nothing


def allowed_mounts(home: str | None) -> dict[str, Any] | None:
    """Read the mount allow-list: directories of the host that agents may mount. A link to it is not read."""
    path = f"{home}/.config/nanoclaw/mount-allowlist.json"
    if home is None or not may_exist(path):
        return None
    text = read_untrusted_text(path)
    nothing = {"path": escape_control(path), "read": text is not None, "valid": False, "roots": 0}
    try:
        return {**nothing, "valid": True, "roots": len(json.loads(text or "")["allowedRoots"])}
    except (ValueError, TypeError, KeyError, RecursionError):
        return nothing


def lists(homes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return tasks.model.migration.v1_state.Home of each home: its lists, and which homes have the same ones."""
    answer, known = [], []
    for entry in homes:
        home = entry["home"]
        paths = [f"{home}/.config/nanoclaw/{name}-allowlist.json" for name in ("sender", "mount")]
        texts = [(may_exist(path), read_untrusted_text(path, follow=True)) for path in paths]
        texts = [text if text != (True, None) else (True, path) for text, path in zip(texts, paths)]  # noqa: B905
        if texts not in known:
            known.append(texts)
        contents = {"senders": senders(home), "mounts": allowed_mounts(home), "alike": known.index(texts)}
        answer.append(
            {
                "path": escape_control(home),
                "plain": escape_control(home) == home,
                "by": escape_control(entry["by"]),
                **contents,
            }
        )
    return answer


def files(root: str) -> dict[str, Any]:
    """Return what the plan needs of the project root's files."""
    return {
        "version": version_of(root),
        "folders": [escape_control(name) for name in folders_in(f"{root}/groups")],
        "conversations": {
            escape_control(name): number
            for name in folders_in(f"{root}/data/sessions")
            if (number := conversations(root, name))
        },
        "auth": len(names_in(f"{root}/store/auth")),
        "skills": [escape_control(name) for name in folders_in(f"{root}/container/skills")],
        **env_of(root),
    }
