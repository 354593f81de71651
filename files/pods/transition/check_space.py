"""Fail if a file system has less space than a transition needs.

A path that is not there yet counts as the directory above it.
"""

from __future__ import annotations

import os
import sys

from files.pods.common.protocol import read_request
from files.pods.transition.protocol import CheckSpaceRequest, SpaceNeed

MB = 1_000_000


def shortfall(need: SpaceNeed) -> str | None:
    """Return what one file system lacks; None if it has enough."""
    existing = need.paths[0]
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    space = os.statvfs(existing)
    free, entries = space.f_bavail * space.f_frsize, space.f_favail if space.f_files else None
    if free >= need.bytes and (entries is None or entries >= need.entries):
        return None
    return (
        f"{' and '.join(need.paths)} would need {need.bytes // MB} MB and {need.entries} inodes, and has "
        f"{free // MB} MB and {'any number of' if entries is None else entries} inodes free: free some space, or make "
        "the file system larger"
    )


if __name__ == "__main__":
    problems = [text for need in read_request(CheckSpaceRequest).needs if (text := shortfall(need))]
    sys.exit("; ".join(problems) or None)
