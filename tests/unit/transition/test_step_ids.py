"""What journals on machines hold of steps stays readable: ids and old texts, as they were written."""

from __future__ import annotations

from files.pods.transition.step_ids import STEP_TEXTS_BEFORE_IDS, Mark, StepId

IDS = {
    "look for room": "check-space",
    "put an earlier attempt aside": "archive-attempt",
    "back up v1's database": "back-up",
    "tie the start of v1 and v2 together": "set-conditions",
    "view v1": "snapshot",
    "NanoClaw's step env": "upstream-env",
    "NanoClaw's step db": "upstream-db",
    "NanoClaw's step groups": "upstream-groups",
    "NanoClaw's step sessions": "upstream-sessions",
    "NanoClaw's step tasks": "upstream-tasks",
    "NanoClaw's step channel-auth": "upstream-channel-auth",
    "copy": "copy",
    "give sessions and groups to the agent": "chown",
    "set the marker of the upgrade": "upgrade-marker",
    "stop v1": "stop-v1",
    "view v1 at rest": "final-snapshot",
    "copy what has changed": "final-copy",
    "correct what NanoClaw's own steps lose": "fix-up",
    "account for all that v1 had": "audit",
    "start v2": "start-v2",
    "prove v2": "gate",
    "decide for v2": "commit",
    "put v1 back": "roll-back",
}
"""By their texts in journals from before there were ids."""


def test_ids_and_old_texts_never_change() -> None:
    """Add a new step; leave those that machines have written."""
    assert {text: step.value for text, step in STEP_TEXTS_BEFORE_IDS.items()} == IDS
    assert [step.value for step in StepId][: len(IDS)] == list(IDS.values())


def test_marks_never_change() -> None:
    """The runner of a migration that is under way may be of an earlier version."""
    assert {mark.value for mark in Mark} >= {"archives-attempt", "stops-v1", "proves-v2", "point-of-no-return"}
