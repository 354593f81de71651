"""The gateway and the channels are applied in a stage, and what they set in .env comes with the switch."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from files.pods.source import shims, stage, stage_skills, switch_to_stage
from files.pods.source.checkout import build_state
from files.pods.source.git_worktree import STAMP, Tree
from files.pods.source.skill_record import applied_skills
from files.pods.source.stage_place import place_of, stage_of
from files.pods.source.staging_protocol import StageSkillsRequest
from tests.unit.source.setup_of_skills import PNPM, files_of_setup
from tests.unit.source.source_host import OLD, Host
from tests.unit.source.test_stage import built

SERVER, TOKEN, TAG = "http://10.0.0.9:10254", "oc-HUSH-4711", "v2.4.1"


@pytest.fixture
def running(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A built checkout of the old version, with a stage of one that has skills."""
    program = tmp_path / "bin/pnpm"
    program.parent.mkdir()
    program.write_text(PNPM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    for name in ("FAILS", "WANTS"):
        monkeypatch.setenv(name, "")
    host.check_out(OLD)
    built(host.root, "old")
    (host.root / ".env").write_text(f"ONECLI_API_KEY={TOKEN}\n")
    (host.root / ".env").chmod(0o640)
    host.release(TAG, files_of_setup("step", "driver"))
    assert host.fetch(TAG).returncode == 0
    Path(place_of(str(host.root))).mkdir(mode=0o700)
    stage.main(str(host.root), host.git("rev-parse", f"{TAG}^{{commit}}"), None)
    return host


def apply(host: Host, *channels: str) -> Path:
    request = host.request(StageSkillsRequest, gateway="onecli", server=SERVER, channels=list(channels))
    stage_skills.main(request, None)
    return Path(stage_of(str(host.root)))


def test_skills_of_the_stage_come_with_the_switch(running: Host, tmp_path: Path) -> None:
    there = apply(running, "telegram")
    assert f"NANOCLAW_ONECLI_API_TOKEN={TOKEN}\n" in (tmp_path / "calls").read_text()
    assert not (there / ".env").exists() and (running.root / ".env").read_text() == f"ONECLI_API_KEY={TOKEN}\n"
    assert (there / ".git/nanoclaw-pods-env").stat().st_mode & 0o777 == 0o600 and running.head == OLD
    switch_to_stage.forward(str(running.root), running.git("rev-parse", f"{TAG}^{{commit}}"), None)
    assert (running.root / ".env").read_text() == f"ONECLI_API_KEY={TOKEN}\nONECLI_URL={SERVER}\n"
    assert (running.root / ".env").stat().st_mode & 0o777 == 0o640
    state = applied_skills(Tree(str(running.root)))
    assert state and (state.gateway, state.channels, state.complete) == ("onecli", ["telegram"], True)
    digest = json.loads((running.root / STAMP).read_text())["package"]
    assert digest == build_state(str(running.root), None, None).source["package"]
    switch_to_stage.back(str(running.root))
    assert (running.root / ".env").read_text() == f"ONECLI_API_KEY={TOKEN}\n"
    assert running.head == OLD and applied_skills(Tree(str(running.root))) is None


def test_skill_that_fails_leaves_no_secret_in_the_stage(running: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "files")
    with pytest.raises(SystemExit, match="did not apply the gateway onecli"):
        apply(running)
    assert not (Path(stage_of(str(running.root))) / ".env").exists()


def test_scripts_of_modules_name_the_project_root(running: Host) -> None:
    """As pnpm writes them: with the whole path of the modules of the stage."""
    root = str(running.root)
    there = Path(stage_of(root)) / "node_modules"
    inner = there / ".pnpm/tsx@4.0.0/node_modules/tsx/node_modules/.bin"
    text = (
        '#!/bin/sh\nexport NODE_PATH="{0}/node_modules/.pnpm/a/node_modules:{0}/node_modules"\nexec "$basedir/x" "$@"\n'
    )
    for folder in (there / ".bin", inner):
        folder.mkdir(parents=True)
        (folder / "tsx").write_text(text.format(there.parent))
        (folder / "tsx").chmod(0o755)
        (folder / "link").symlink_to("tsx")
    (there / "index.js").write_text(f"// {there}\n")
    assert shims.move_shims(root) == 2 and shims.move_shims(root) == 0
    for folder in (there / ".bin", inner):
        assert (folder / "tsx").read_text() == text.format(root)
        assert (folder / "tsx").stat().st_mode & 0o777 == 0o755 and (folder / "link").is_symlink()
    assert (there / "index.js").read_text() == f"// {there}\n"
