"""The verdict on the newest pyinfra, whatever pip and the tests reply."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests import newest

LOCK = "pydantic==2.12.0 \\\n    --hash=sha256:0\npyinfra==3.10.0 \\\n    --hash=sha256:0\npyinfra-testing==0.2.1\n"


def report(version: str) -> str:
    return json.dumps({"install": [{"metadata": {"name": "pyinfra", "version": version}}]})


def test_pinned_and_newest_versions_are_parsed() -> None:
    assert newest.pinned(LOCK) == "3.10.0"
    assert newest.reported(report("3.11.1")) == "3.11.1"
    for broken in ("", "[]", '{"install": []}'):
        with pytest.raises(newest.UnknownError):
            newest.reported(broken)
    with pytest.raises(newest.UnknownError):
        newest.pinned("pyinfra-testing==0.2.1\n")


def test_only_the_version_of_pyinfra_is_replaced() -> None:
    text = "# why\npyinfra==3.10.0\npydantic>=2\n# tests\n-r requirements.in\n-c requirements.lock\npyinfra-testing\n"
    assert newest.requirements(text, "3.11.1") == ["pyinfra==3.11.1", "pydantic>=2", "pyinfra-testing"]


@pytest.mark.parametrize(
    ("latest", "fails", "verdict"),
    [
        (None, None, "pyinfra (newest): could not be found out: no network"),
        ("PINNED", None, "pyinfra PINNED (pinned) is the newest"),
        ("9.9.9", None, "pyinfra 9.9.9 (newest): works"),
        ("9.9.9", "venv", "pyinfra 9.9.9 (newest): could not be tried: no network"),
        ("9.9.9", "tests/unit", "pyinfra 9.9.9 (newest): fails: no network"),
    ],
)
def test_verdict_is_one_line(
    monkeypatch: pytest.MonkeyPatch, latest: str | None, fails: str | None, verdict: str
) -> None:
    ours = newest.pinned((newest.PROJECT / "requirements.lock").read_text(encoding="utf-8"))

    def run(argv: Sequence[str], _seconds: float) -> str:
        if fails in argv or (latest is None and "--dry-run" in argv):
            raise newest.UnknownError("no network")
        return report(ours if latest == "PINNED" else str(latest))

    monkeypatch.setattr(newest, "run", run)
    assert newest.verdict() == verdict.replace("PINNED", ours)


def test_failed_command_reports_its_last_line() -> None:
    with pytest.raises(newest.UnknownError, match=r"^1 failed$"):
        newest.run(["sh", "-c", "echo '=== 1 failed ==='; exit 1"], 10)
    with pytest.raises(newest.UnknownError, match="no-such-program"):
        newest.run(["no-such-program"], 10)
