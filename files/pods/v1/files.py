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
from files.pods.v1.v1_state import Files, Home, Mounts, Senders

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


def senders(home: str | None) -> Senders | None:
    """Read the sender allow-list. v1 follows links to it, and lets everybody in if it is not valid."""
    path = f"{home}/.config/nanoclaw/sender-allowlist.json"
    if home is None or not may_exist(path):
        return None
    text = read_untrusted_text(path, follow=True)
    read = text is not None
    try:
        content = json.loads(text or "")
        everybody = content["default"]["allow"] == "*"
        return Senders(escape_control(path), read, True, everybody, len(content.get("chats") or {}))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Senders(escape_control(path), read, False, read, 0)


def allowed_mounts(home: str | None) -> Mounts | None:
    """Read the mount allow-list: directories of the host that agents may mount. A link to it is not read."""
    path = f"{home}/.config/nanoclaw/mount-allowlist.json"
    if home is None or not may_exist(path):
        return None
    text = read_untrusted_text(path)
    try:
        return Mounts(escape_control(path), text is not None, True, len(json.loads(text or "")["allowedRoots"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return Mounts(escape_control(path), text is not None, False, 0)


def lists(homes: list[tuple[str, str]]) -> list[Home]:
    """Return the lists of each home, and which homes have the same ones.

    + homes: each with what names it
    """
    answer: list[Home] = []
    known: list[Any] = []
    for home, by in homes:
        paths = [f"{home}/.config/nanoclaw/{name}-allowlist.json" for name in ("sender", "mount")]
        texts = [(may_exist(path), read_untrusted_text(path, follow=True)) for path in paths]
        texts = [text if text != (True, None) else (True, path) for text, path in zip(texts, paths)]  # noqa: B905
        if texts not in known:
            known.append(texts)
        shown, alike = escape_control(home), known.index(texts)
        answer.append(Home(shown, shown == home, escape_control(by), alike, senders(home), allowed_mounts(home)))
    return answer


def files(root: str) -> Files:
    """Return what the plan needs of the project root's files."""
    return Files(
        version=version_of(root),
        folders=[escape_control(name) for name in folders_in(f"{root}/groups")],
        conversations={
            escape_control(name): number
            for name in folders_in(f"{root}/data/sessions")
            if (number := conversations(root, name))
        },
        auth=len(names_in(f"{root}/store/auth")),
        skills=[escape_control(name) for name in folders_in(f"{root}/container/skills")],
        **env_of(root),
    )
