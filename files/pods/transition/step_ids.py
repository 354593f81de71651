"""Ids and marks of a transition's steps: for programs and for the role, which plans the steps.

Journals and the runner go by these; the text of a step is only shown. An id never changes: journals on machines hold
it.
"""

from __future__ import annotations

from enum import Enum
from typing import Any


class StepId(str, Enum):
    """Identify a step, in work.json and in the journal."""

    CHECK_SPACE = "check-space"
    ARCHIVE_ATTEMPT = "archive-attempt"
    BACK_UP = "back-up"
    SET_CONDITIONS = "set-conditions"
    SNAPSHOT = "snapshot"
    ENV = "upstream-env"
    DB = "upstream-db"
    GROUPS = "upstream-groups"
    SESSIONS = "upstream-sessions"
    TASKS = "upstream-tasks"
    CHANNEL_AUTH = "upstream-channel-auth"
    COPY = "copy"
    CHOWN = "chown"
    UPGRADE_MARKER = "upgrade-marker"
    STOP_V1 = "stop-v1"
    FINAL_SNAPSHOT = "final-snapshot"
    FINAL_COPY = "final-copy"
    FIX_UP = "fix-up"
    AUDIT = "audit"
    START_V2 = "start-v2"
    GATE = "gate"
    COMMIT = "commit"
    ROLL_BACK = "roll-back"
    STAGE_SOURCE = "stage-source"
    STAGE_BUILD = "stage-build"
    STAGE_SKILLS = "stage-skills"
    STAGE_IMAGE = "stage-image"
    BOOT_ROLLBACK = "set-boot-rollback"
    DRAIN = "drain"
    SWITCH_SOURCE = "switch-source"
    RESTORE_DATABASE = "restore-database"
    SWITCH_IMAGE = "switch-image"
    REMOVE_STAGE = "remove-stage"


class Mark(str, Enum):
    """Say what a step means to the runner (files/pods/transition/runner.py)."""

    ARCHIVES_ATTEMPT = "archives-attempt"
    """When it has ended, nothing of an earlier attempt is left to archive."""
    STOPS_SERVICE = "stops-v1"
    """The time without service begins with it."""
    PROVES_NEW = "proves-v2"
    """The time without service ends with it."""
    POINT_OF_NO_RETURN = "point-of-no-return"
    """When it has ended, the new version is committed; nothing is rolled back from then on."""


STEP_TEXTS_BEFORE_IDS = {
    "look for room": StepId.CHECK_SPACE,
    "put an earlier attempt aside": StepId.ARCHIVE_ATTEMPT,
    "back up v1's database": StepId.BACK_UP,
    "tie the start of v1 and v2 together": StepId.SET_CONDITIONS,
    "view v1": StepId.SNAPSHOT,
    "NanoClaw's step env": StepId.ENV,
    "NanoClaw's step db": StepId.DB,
    "NanoClaw's step groups": StepId.GROUPS,
    "NanoClaw's step sessions": StepId.SESSIONS,
    "NanoClaw's step tasks": StepId.TASKS,
    "NanoClaw's step channel-auth": StepId.CHANNEL_AUTH,
    "copy": StepId.COPY,
    "give sessions and groups to the agent": StepId.CHOWN,
    "set the marker of the upgrade": StepId.UPGRADE_MARKER,
    "stop v1": StepId.STOP_V1,
    "view v1 at rest": StepId.FINAL_SNAPSHOT,
    "copy what has changed": StepId.FINAL_COPY,
    "correct what NanoClaw's own steps lose": StepId.FIX_UP,
    "account for all that v1 had": StepId.AUDIT,
    "start v2": StepId.START_V2,
    "prove v2": StepId.GATE,
    "decide for v2": StepId.COMMIT,
    "put v1 back": StepId.ROLL_BACK,
}
"""The steps of journals from before steps had ids, by the text that they have there. Never changes."""


def step_id(step: dict[str, Any]) -> str | None:
    """Return the id of a journal's step; None for one that this version does not know."""
    try:
        return StepId(step["id"] if "id" in step else STEP_TEXTS_BEFORE_IDS.get(step.get("name", ""))).value
    except ValueError:
        return None
