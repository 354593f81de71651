"""What a NanoClaw v1 has in files beside its database: for programs that import it. Of secrets only names are told."""

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
    """The version that package.json states."""
    text = read_untrusted_text(f"{root}/package.json") or ""
    found = re.search(r'"version"\s*:\s*"([0-9][^"]{0,30})"', text)
    return escape_control(found[1]) if found else None


def names_in(path: str) -> list[str]:
    """What is in a directory; nothing where a link leads to it."""
    try:
        handle = open_directory(path)
    except OSError:
        return []
    try:
        return sorted(os.listdir(handle))
    finally:
        os.close(handle)


def folders_in(path: str) -> list[str]:
    return [name for name in names_in(path) if os.path.isdir(f"{path}/{name}") and not os.path.islink(f"{path}/{name}")]


def conversations(root: str, folder: str) -> int:
    place = f"{root}/data/sessions/{folder}/.claude/projects/-workspace-group"
    return sum(name.endswith(".jsonl") for name in names_in(place))


def env_of(root: str) -> dict[str, Any]:
    """What a migration carries over of .env, by names or numbers of lines, and lines that NanoClaw does not read.

    `env` is None where it is a link, no file, or too large.
    """
    text = read_untrusted_text(f"{root}/.env") if os.path.lexists(f"{root}/.env") else ""
    if text is None:
        return {"env": None, "env_unread": []}
    return {"env": sorted(safe_labels(text).values()), "env_unread": unread_lines(text)[:MOST_LINES]}


def is_there(path: str) -> bool:
    """Whether v1 finds something; true also where root is not told, as in a home on NFS that others may not enter."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def senders(home: str | None) -> dict[str, Any] | None:
    """Who may talk to v1: its sender allow-list. v1 follows links to it, and lets everybody in if it is not valid."""
    path = f"{home}/.config/nanoclaw/sender-allowlist.json"
    if home is None or not is_there(path):
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
        said = json.loads(text or "")
        everybody = said["default"]["allow"] == "*"
        return {**nothing, "valid": True, "everybody": everybody, "chats": len(said.get("chats") or {})}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return nothing


def allowed_mounts(home: str | None) -> dict[str, Any] | None:
    """Which directories of the host agents may be given: the mount allow-list. A link to it is not read."""
    path = f"{home}/.config/nanoclaw/mount-allowlist.json"
    if home is None or not is_there(path):
        return None
    text = read_untrusted_text(path)
    nothing = {"path": escape_control(path), "read": text is not None, "valid": False, "roots": 0}
    try:
        return {**nothing, "valid": True, "roots": len(json.loads(text or "")["allowedRoots"])}
    except (ValueError, TypeError, KeyError, RecursionError):
        return nothing


def lists(homes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """tasks.model.migration.v1_state.Home of each home: which lists are there, and which homes have the same ones."""
    found, known = [], []
    for one in homes:
        home = one["home"]
        places = [f"{home}/.config/nanoclaw/{name}-allowlist.json" for name in ("sender", "mount")]
        texts = [(is_there(place), read_untrusted_text(place, follow=True)) for place in places]
        texts = [text if text != (True, None) else (True, place) for text, place in zip(texts, places)]  # noqa: B905
        if texts not in known:
            known.append(texts)
        said = {"senders": senders(home), "mounts": allowed_mounts(home), "alike": known.index(texts)}
        found.append(
            {
                "path": escape_control(home),
                "plain": escape_control(home) == home,
                "by": escape_control(one["by"]),
                **said,
            }
        )
    return found


def files(root: str) -> dict[str, Any]:
    """What it has of files of the project root."""
    return {
        "version": version_of(root),
        "folders": [escape_control(name) for name in folders_in(f"{root}/groups")],
        "conversations": {
            escape_control(name): found
            for name in folders_in(f"{root}/data/sessions")
            if (found := conversations(root, name))
        },
        "auth": len(names_in(f"{root}/store/auth")),
        "skills": [escape_control(name) for name in folders_in(f"{root}/container/skills")],
        **env_of(root),
    }
