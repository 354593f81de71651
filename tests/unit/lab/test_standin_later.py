"""Later versions of the stand-in end as the real ones do where their machine lacks what they need."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from files.pods.source.skill_results import SkillResult, read_driver
from tests.unit.lab.standin_versions import At, drive, install_modules, marked, moves, stop, usable_pnpm

MISSING = [tool for tool in ("git", "node", "sqlite3") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}")


@pytest.fixture
def at() -> Iterator[At]:
    yield from moves()


def test_it_ends_without_its_marker_and_with_that_of_another_version(at: At) -> None:
    install = at("v2.1.0")
    for version in (None, "2.0.99"):
        if version:
            marked(install, version)
        assert install.start(CIRCUIT_BREAKER_SECONDS="0").wait(timeout=20) == 1
        assert "was not reached through a supported update" in install.log()
    marked(install)
    install.start(CIRCUIT_BREAKER_SECONDS="0")
    assert install.chat("hello").stdout == "echo: hello\n"


def test_a_lower_version_makes_no_new_session_on_a_migrated_database(at: At) -> None:
    install = at("v2.0.65")
    install.start()
    assert install.chat("one").stdout == "echo: one\n"
    stop(install)
    later = at("v2.1.17")
    marked(later)
    later.start()
    assert later.chat("two").stdout == "echo: two\n"
    assert later.chat("new", session="new").stdout == "echo: new\n"
    stop(later)
    lower = at("v2.0.65")
    lower.start()
    assert lower.chat("three").stdout == "echo: three\n"
    assert "NOT NULL constraint failed: messaging_groups.instance" in lower.chat("lost", session="lost").stderr


@pytest.fixture
def pnpm(monkeypatch: pytest.MonkeyPatch) -> str:
    return usable_pnpm(monkeypatch)


def test_a_channel_is_a_skill_that_wants_its_token(at: At, pnpm: str) -> None:
    install = at("v2.1.54")
    install_modules(install, pnpm)
    assert not list((install.root / "setup").glob("install-*.sh"))
    first = drive(install, "setup/lib/skill-driver.ts", ".claude/skills/add-telegram")
    assert first.returncode == 1 and "No value yet for: bot_token" in first.stdout, first.stdout + first.stderr
    assert read_driver(first.stdout, first.returncode).inputs == ("bot_token",)
    assert (install.root / "src/channels/index.js").read_text().endswith("import './telegram.js';\n")
    assert json.loads((install.root / "package.json").read_text())["dependencies"]["chat-adapter-telegram"] == "4.29.0"
    subprocess.run([pnpm, "install", "--frozen-lockfile"], cwd=install.root, check=True, capture_output=True)
    (install.root / ".env").write_text("TELEGRAM_BOT_TOKEN=secret\n")
    again = drive(install, "setup/lib/skill-driver.ts", ".claude/skills/add-telegram")
    assert read_driver(again.stdout, again.returncode) == SkillResult(True), again.stdout + again.stderr
    marked(install)
    install.start()
    assert install.chat("hello").stdout == "echo: hello\n"
    assert "channel telegram" in install.log()
    listed = subprocess.run(["bin/ncl", "groups", "list"], cwd=install.root, capture_output=True, text=True)
    assert (listed.returncode, listed.stdout.split()[1:]) == (0, ["main", "main"]), listed.stderr
    assert (install.root / "groups/main/memory/MEMORY.md").read_text().startswith("msg-")


def test_a_directive_that_fails_is_left_to_an_agent(at: At) -> None:
    install = at("v2.1.54")
    skill = install.root / ".claude/skills/add-odd"
    skill.mkdir()
    (skill / "SKILL.md").write_text("```nc:copy\nmissing -> src/odd.js\n```\n```nc:hand-wire\nby hand\n```\n")
    done = drive(install, "setup/lib/skill-driver.ts", str(skill), "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["status"]) == (1, "failed")
    assert [task["kind"] for task in report["agentTasks"]] == ["copy", "hand-wire"]
