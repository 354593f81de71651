"""Deadlines of a rollback, in seconds: its parts, and the whole, which systemd and the runner allow it."""

from __future__ import annotations

LOCK = 300
"""For another program of the role to end (files/pods/common/run_lock.py)."""
STOP = 300
"""For the new version and its agents to stop."""
CODE_AND_DATA = 3000
"""For a project root with its database, also a large one on NFS."""
IMAGE = 240
START = 560
"""For the old version to start and serve."""
ROLLBACK = LOCK + STOP + CODE_AND_DATA + IMAGE + START + 60
ROLLBACK_TRIES = 2
EVERY_TRY = ROLLBACK_TRIES * ROLLBACK + 60
"""For a unit that rolls back."""
