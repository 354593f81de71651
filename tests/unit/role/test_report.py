"""What the operator is shown beside pyinfra's own results: diffs under --diff, and lines that are said once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tasks import report


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    logged: list[str] = []
    monkeypatch.setattr(report, "host", SimpleNamespace(log=logged.append))
    return logged


def at(monkeypatch: pytest.MonkeyPatch, *, diff: bool = True, executing: bool = False, checked: bool = True) -> None:
    state = SimpleNamespace(config=SimpleNamespace(DIFF=diff), is_executing=executing, check_for_changes=checked)
    monkeypatch.setattr(report, "state", state)


def test_a_diff_shows_what_goes_and_what_comes(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch)
    report.show_diff("/etc/x", "same\nold\n", "same\nnew\n")
    assert lines == ["--- /etc/x (current)", "+++ /etc/x (desired)", "@@ -1,2 +1,2 @@", " same", "-old", "+new"]


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [(None, "a\n", ["+a"]), ("a\n", None, ["-a"]), (None, None, []), ("a\n", "a\n", []), ("a", "a\n", ["-a", "+a"])],
)
def test_a_file_that_comes_or_goes_is_shown_whole(
    old: str | None, new: str | None, shown: list[str], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch)
    report.show_diff("/etc/x", old, new)
    assert lines[3:] == shown


@pytest.mark.parametrize(
    ("diff", "executing", "checked", "shown"),
    [
        (True, False, True, True),
        (True, False, False, True),
        (True, True, True, False),
        (True, True, False, True),
        (False, False, True, False),
        (False, True, False, False),
    ],
)
def test_a_diff_is_shown_once_a_run_and_only_under_its_option(
    diff: bool, executing: bool, checked: bool, shown: bool, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, diff=diff, executing=executing, checked=checked)
    report.show_diff("/etc/x", None, "a\n")
    assert bool(lines) == shown


@pytest.mark.parametrize(("executing", "checked", "number"), [(False, True, 1), (True, True, 0), (True, False, 1)])
def test_a_line_is_reported_once_a_run(
    executing: bool, checked: bool, number: int, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, diff=False, executing=executing, checked=checked)
    report.say("it")
    assert lines == ["it"] * number


def test_a_text_of_several_lines_cannot_pass_for_another_machines(lines: list[str]) -> None:
    """Each line gets the machine's name before it; the forged one is seen as this machine's."""
    report.log("first\n[oslo] verified\x1b[2J\rall is well")
    assert lines == ["first", "[oslo] verified\\x1b[2J", "all is well"]


def test_a_diff_shows_no_control_character(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch)
    report.show_diff("/etc/x", "a\x1b[8m\n", "\tb\x07\n")
    assert lines[3:] == ["-a\\x1b[8m", "+\tb\\x07"]


def test_reasons_are_shown_as_a_diff_and_kept_where_an_operation_is_decided_anew(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch)
    report.show_reasons("/opt/nanoclaw", ["it was not built yet"])
    assert lines[3:] == ["+it was not built yet"]
    with report.kept_back() as kept:
        report.show_reasons("/opt/nanoclaw", ["it was not built yet"])
    assert kept == ["it was not built yet"] and len(lines) == 4
