"""The findings of an audit: each once, those that were known never as a loss, and no more than a screen can hold."""

from __future__ import annotations

from files.pods.v1.audit.ledger import CUT, KINDS, LISTED, Ledger
from files.pods.v1.audit.protocol import Count, Finding, Unlisted

KNOWN = Finding("group old", "its folder is no name")


def test_thing_with_a_reason_is_lost_and_any_other_is_in_v2() -> None:
    ledger = Ledger([])
    ledger.judge("groups", "group main", "")
    ledger.judge("groups", "group \x1b[31m", "it has \x1b no session")
    report = ledger.report("digest")
    assert report.counts["groups"] == Count(v1=2, v2=1)
    assert report.lost == [Finding("group \\x1b[31m", "it has \\x1b no session")]
    assert (report.left, report.more, report.digest) == ([], Unlisted(0, 0), "digest")
    assert [kind for kind in KINDS if report.counts[kind] != Count(0, 0)] == ["groups"]


def test_thing_that_was_known_is_never_lost() -> None:
    ledger = Ledger([KNOWN])
    ledger.lose("group old", "v2 lacks it")
    ledger.skip("group old", "again")
    ledger.lose("group older", "v2 lacks it")
    report = ledger.report("")
    assert (report.left, report.lost) == ([KNOWN], [Finding("group older", "v2 lacks it")])


def test_long_name_is_lost_though_its_start_was_known() -> None:
    """Names are cut: two that long may be of two things."""
    known = Finding("x" * CUT, "it is long")
    ledger = Ledger([known, Finding("y" * (CUT - 1), "it is shorter")])
    assert not ledger.is_known("x" * CUT) and not ledger.is_known("x" * (CUT + 1))
    assert ledger.is_known("y" * (CUT - 1))


def test_skipped_thing_is_recorded_once_and_counted_with_its_kind() -> None:
    ledger = Ledger([])
    for _ in range(2):
        ledger.skip("link a", "it is a link", "files")
    ledger.skip("link b", "it is a link")
    report = ledger.report("")
    assert report.left == [Finding("link a", "it is a link"), Finding("link b", "it is a link")]
    assert report.counts["files"] == Count(v1=2, v2=0)


def test_findings_beyond_the_limit_are_counted() -> None:
    ledger = Ledger([KNOWN])
    for number in range(LISTED + 3):
        ledger.lose(f"lost {number}", "v2 lacks it")
        ledger.skip(f"left {number}", "it is a link")
    report = ledger.report("")
    assert (len(report.lost), len(report.left)) == (LISTED, LISTED)
    assert report.more == Unlisted(lost=3, left=4)
