"""The record of the agent image, as a switch changes it: for programs that import it.

It changes with the image's name, before the service starts: each start notes what it has started with.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict

from files.pods.common.atomic_write import replace
from files.pods.source.agent_image import inspect, tree_of, user_of
from files.pods.source.agent_image import record as read_record
from files.pods.source.image_state import ImageRecord
from files.pods.source.staging_protocol import SwitchImageRequest

BEFORE = ".before"
"""Ends the name of the record before a switch."""


def keep_record(request: SwitchImageRequest) -> None:
    """Write the record of the image that has the name now; keep the one before beside it."""
    path, image = request.record, inspect(request.image)
    ids = user_of(request.image, image["Config"].get("User", "")) if image else None
    if image is None or ids is None:
        sys.exit(f"the user of {request.image} is unknown: stage the version again")
    now = ImageRecord(image["Id"], ids.uid, ids.gid, tree_of(request.root, request.uid, request.gid))
    before = read_record(path)
    if before == now:
        return
    if before:
        write(path + BEFORE, before)
    write(path, now)


def write(path: str, record: ImageRecord) -> None:
    """Write a record."""
    replace(path, json.dumps(asdict(record)).encode() + b"\n", 0o644)


def put_record_back(path: str) -> None:
    """Put the record before the switch back, if one was kept."""
    with suppress(FileNotFoundError):
        os.replace(path + BEFORE, path)
