"""Why a drop-in is refused after its rehearsal, and what was not brought about: all of the message."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import Any

import pytest

from files.pods.nfs.export_change import Rehearsal, exportfs, refuse_changed, refuse_rehearsed
from files.pods.nfs.export_entries import stated_options
from files.pods.nfs.protocol import ExportChange

DROPIN = "/etc/exports.d/pods.exports"
OURS = ["/srv/pods/oslo", "10.0.0.2", *stated_options("rw,sync")]
TABLE = "/srv/pods/oslo\t10.0.0.2(rw,sync)\n"
HOME, OTHER = "/home\tfd00::9(ro)\n", "/home\tfd00::9(rw)\n"
BEFORE = {("/srv/pods/oslo", "10.0.0.2"): "rw,sync", ("/home", "fd00::9"): "ro"}


def requested(removed: list[tuple[str, str]] | None = None) -> ExportChange:
    return ExportChange("text", None, [] if removed else [OURS], removed or [])


@pytest.mark.parametrize(
    ("old", "new", "refusal"),
    [
        (Rehearsal(False, HOME), Rehearsal(False, TABLE + HOME), None),
        (Rehearsal(True, HOME), Rehearsal(True, TABLE + HOME), None),
        (
            Rehearsal(False, HOME),
            Rehearsal(False, HOME),
            f"exportfs would not apply these entries as written: [{OURS}]",
        ),
        (
            Rehearsal(False, HOME),
            Rehearsal(False, TABLE + OTHER),
            "exports of others would change: [fd00::9]:/home",
        ),
        (Rehearsal(False, HOME), Rehearsal(False, TABLE), "exports of others would change: [fd00::9]:/home"),
        (
            Rehearsal(False, HOME, Counter(["old"])),
            Rehearsal(False, TABLE + HOME, Counter(["old", "new"])),
            "exportfs says of the new one:\nnew",
        ),
        (
            Rehearsal(False, HOME, Counter([f"{DROPIN}:1: odd"])),
            Rehearsal(False, TABLE + HOME, Counter([f"{DROPIN}:1: odd"])),
            f"exportfs says of the new one:\n{DROPIN}:1: odd",
        ),
        (Rehearsal(False, HOME), Rehearsal(True, TABLE + HOME), "exportfs says of the new one:\n"),
        (
            Rehearsal(False, HOME),
            Rehearsal(True, OTHER),
            f"exportfs would not apply these entries as written: [{OURS}]; "
            "exports of others would change: [fd00::9]:/home; exportfs says of the new one:\n",
        ),
    ],
)
def test_a_rehearsal_is_accepted_or_refused_with_every_reason(
    old: Rehearsal, new: Rehearsal, refusal: str | None
) -> None:
    if refusal is None:
        refuse_rehearsed(DROPIN, old, new, requested(), {})
        return
    with pytest.raises(SystemExit) as ended:
        refuse_rehearsed(DROPIN, old, new, requested(), {})
    assert ended.value.code == f"Exports not changed: {refusal}"


@pytest.mark.parametrize(
    ("etab", "removed", "wrong"),
    [
        (TABLE + HOME, None, []),
        (HOME, None, [f"{OURS} is not in force"]),
        (TABLE + OTHER, None, ["an export of others changed: bring it back with exportfs -i -o ro '[fd00::9]:/home'"]),
        (HOME, [("/srv/pods/oslo", "10.0.0.2")], []),
        (TABLE + HOME, [("/srv/pods/oslo", "10.0.0.2")], ["10.0.0.2:/srv/pods/oslo is still in force"]),
    ],
)
def test_what_is_in_force_is_compared_with_what_was_requested(
    etab: str, removed: list[tuple[str, str]] | None, wrong: list[str]
) -> None:
    assert refuse_changed(etab, BEFORE, requested(removed), {}, {("/srv/pods/oslo", "10.0.0.2")}) == wrong


@pytest.mark.parametrize(
    ("done", "message"),
    [
        ((0, "", "a warning"), ""),
        ((1, "", " exportfs: no\n"), "exportfs: no"),
        ((2, "x", " "), "exportfs -i: status 2"),
        (None, "exportfs -i did not end within 60 s"),
    ],
)
def test_exportfs_that_fails_has_its_message(
    monkeypatch: pytest.MonkeyPatch, done: tuple[int, str, str] | None, message: str
) -> None:
    def run(argv: Any, **_more: Any) -> subprocess.CompletedProcess[str]:
        if done is None:
            raise subprocess.TimeoutExpired(argv, 60)
        return subprocess.CompletedProcess(argv, *done)

    monkeypatch.setattr(subprocess, "run", run)
    assert exportfs("-i", "a:/b") == message
