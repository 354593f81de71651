"""Fail if a file system has less space than a migration needs.

Argument: {"needs": [{"paths": [on one file system], "bytes", "entries"}]}. A path that is not there yet counts as the
directory above it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

MB = 1_000_000


def shortfall(need: dict[str, Any]) -> str | None:
    """Return what one file system lacks; None if it has enough."""
    existing = need["paths"][0]
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    space = os.statvfs(existing)
    free, entries = space.f_bavail * space.f_frsize, space.f_favail if space.f_files else None
    if free >= need["bytes"] and (entries is None or entries >= need["entries"]):
        return None
    return (
        f"{' and '.join(need['paths'])} would need {need['bytes'] // MB} MB and {need['entries']} inodes, and has "
        f"{free // MB} MB and {'any number of' if entries is None else entries} inodes free: free some space, or make "
        "the file system larger"
    )


if __name__ == "__main__":
    problems = [text for need in json.loads(sys.argv[1])["needs"] if (text := shortfall(need))]
    sys.exit("; ".join(problems) or None)
