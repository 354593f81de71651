"""The versions that failed on this machine: for programs that import it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from files.pods.common.atomic_write import replace
from files.pods.common.protocol import ProtocolError, decode
from files.pods.common.read_untrusted import read_untrusted_object
from files.pods.transition.documents import BadVersion


def read_bad_versions(path: str) -> dict[str, BadVersion]:
    """Return them by commit; none without the file, or from one that is none of the role's."""
    document: dict[str, Any] = read_untrusted_object(path)
    try:
        return {commit: decode(BadVersion, one, path) for commit, one in document.items()}
    except ProtocolError:
        return {}


def count_failure(path: str, commit: str, version: str, attempt: str) -> int:
    """Count a failure of a commit, once an attempt, and return how many there were."""
    versions = read_bad_versions(path)
    before = versions.get(commit, BadVersion(version, 0))
    if before.attempt == attempt:
        return before.count
    count = before.count + 1
    versions[commit] = BadVersion(version, count, attempt)
    replace(path, json.dumps({name: asdict(one) for name, one in versions.items()}, indent=1).encode() + b"\n", 0o600)
    return count
