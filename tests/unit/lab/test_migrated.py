"""The stand-in's host after a migration: it lives with what the steps made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import standin
from tests.lab.v1_tree import make_tree
from tests.unit.lab.standin_install import Install, find_pnpm, made, wait_for

MISSING = [tool for tool in ("git", "node", "sqlite3") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}")


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """A v1 was brought over; the host has not started yet. Its home is empty."""
    for it in made(tmp_path):
        make_tree(tmp_path / "v1", traits=["telegram", "whatsapp", "mounts"])
        for step in ("env", "db", "groups", "sessions", "tasks"):
            done = it.step(step, tmp_path / "v1")
            assert done.returncode == 0, done.stderr
        (tmp_path / "own").mkdir()
        it.env = it.env | {"HOME": str(tmp_path / "own")}
        yield it


def allow(install: Install, *roots: dict[str, object], blocked: tuple[str, ...] = ()) -> None:
    place = Path(install.env["HOME"]) / ".config/nanoclaw"
    place.mkdir(parents=True, exist_ok=True)
    content = {"allowedRoots": roots, "blockedPatterns": blocked}
    (place / "mount-allowlist.json").write_text(json.dumps(content))


def extra_mounts(install: Install, folder: str) -> list[str]:
    """What a container of a folder saw beside its own; its agent is asked something first."""
    assert install.chat("hello", migrated=folder).returncode == 0
    runs = [path.read_text().splitlines() for path in install.fake.glob("run-*")]
    (argv,) = (run for run in runs if f"nanoclaw-v2-{folder}-" in run[run.index("--name") + 1])
    return [word for at, word in enumerate(argv) if argv[at - 1] == "-v" and ":/workspace/extra/" in word]


def test_the_conversation_of_v1_is_the_one_that_goes_on(install: Install) -> None:
    install.start()
    assert install.chat("which conversation", migrated="main").stdout == "echo: which conversation main-1 1\n"
    assert install.chat("which conversation", migrated="main").stdout == "echo: which conversation main-1 1\n"
    assert install.chat("which conversation").stdout == "echo: which conversation none missing\n"
    projects = install.migrated("main").parent / ".claude-shared/projects"
    (projects / "-workspace-agent/main-1.jsonl").unlink()
    assert install.chat("which conversation", migrated="main").stdout == "echo: which conversation main-1 missing\n"
    assert install.sql("SELECT count(*) FROM agent_groups") == [(5,)]  # main was not made again
    refused = install.chat("hello", migrated="nobody")
    assert (refused.returncode, refused.stderr) == (1, "refused: nobody has no migrated session\n")


def test_the_memory_of_v1_stays_and_the_global_one_goes(install: Install) -> None:
    assert (install.root / "groups/global/CLAUDE.local.md").exists()
    install.start()
    assert install.chat("hello", migrated="main").returncode == 0
    assert (install.root / "groups/main/CLAUDE.local.md").read_text() == "memory of main\n"
    assert not (install.root / "groups/global").exists()


def test_due_tasks_are_run_and_paused_ones_are_not(install: Install) -> None:
    paused = install.migrated("club") / "inbound.db"
    install.sql("UPDATE messages_in SET status = 'paused'", paused)
    install.start()
    inbound = install.migrated("main") / "inbound.db"
    wait_for(lambda: install.sql("SELECT status FROM messages_in WHERE kind = 'task'", inbound) == [("completed",)])
    wait_for(lambda: len(install.sql("SELECT * FROM delivered", inbound)) == 1)
    assert install.chat("hello", migrated="club").stdout == "echo: hello\n"
    answered = "SELECT in_reply_to FROM messages_out WHERE kind = 'task'"
    assert install.sql(answered, install.migrated("main") / "outbound.db") == [("morning",)]
    assert install.sql(answered, install.migrated("club") / "outbound.db") == []
    assert install.sql("SELECT status FROM messages_in WHERE kind = 'task'", paused) == [("paused",)]


def test_a_config_is_read_at_the_first_start_and_not_later(install: Install) -> None:
    host = install.start()
    (row,) = install.sql(
        "SELECT config FROM container_configs JOIN agent_groups g ON g.id = agent_group_id WHERE folder = 'papers'"
    )
    mounts = [{"hostPath": "/srv/papers", "containerPath": "papers", "readonly": True}]
    assert json.loads(row[0]) == {"additionalMounts": mounts}
    host.terminate()
    assert host.wait(timeout=20) == 0
    late = {folder: install.root / f"groups/{folder}/container.json" for folder in ("family", "papers")}
    for path in late.values():
        path.write_text(json.dumps({"additionalMounts": [], "late": True}))
    install.start()
    for folder, path in late.items():
        assert install.chat("hello", migrated=folder).returncode == 0
        kept = {"additionalMounts": mounts} if folder == "papers" else {}
        assert json.loads(path.read_text()) == {**kept, "groupName": folder.title(), "provider": "claude"}


def test_additional_mounts_are_those_that_the_allow_list_has(install: Install, tmp_path: Path) -> None:
    for name in ("papers/new", "papers/hush", "other"):
        (tmp_path / "srv" / name).mkdir(parents=True)
    srv = tmp_path / "srv"
    expected = [
        {"hostPath": f"{srv}/papers/new", "containerPath": "new", "readonly": False},
        {"hostPath": f"{srv}/papers", "readonly": True},
        {"hostPath": f"{srv}/papers/hush", "containerPath": "hush"},
        {"hostPath": f"{srv}/other", "containerPath": "other"},
        {"hostPath": f"{srv}/papers/../other", "containerPath": "sly"},
        {"hostPath": f"{srv}/papers", "containerPath": "../agent"},
        {"hostPath": f"{srv}/papers/gone", "containerPath": "gone"},
    ]
    (install.root / "groups/papers/container.json").write_text(json.dumps({"additionalMounts": expected}))
    (install.root / "groups/family/container.json").write_text(json.dumps({"additionalMounts": expected[:1]}))
    allow(install, {"path": f"{srv}/papers", "allowReadWrite": True}, blocked=("hush",))
    install.start()
    assert extra_mounts(install, "papers") == [
        f"{srv}/papers/new:/workspace/extra/new",
        f"{srv}/papers:/workspace/extra/papers:ro",
    ]
    assert install.log().count("Additional mount REJECTED") == 5
    allow(install, {"path": str(srv), "allowReadWrite": False})
    assert extra_mounts(install, "family") == [f"{srv}/papers/new:/workspace/extra/new:ro"]


def test_without_an_allow_list_there_are_no_additional_mounts(install: Install) -> None:
    install.start()
    assert extra_mounts(install, "papers") == []
    assert "Additional mount REJECTED" in install.log()


def test_a_skill_that_was_copied_in_is_linked_as_the_others_are(install: Install) -> None:
    shutil.copytree(install.root / "container/skills/status", install.root / "container/skills/weather")
    install.start()
    assert install.chat("hello", migrated="main").returncode == 0
    skills = install.migrated("main").parent / ".claude-shared/skills"
    links = {path.name: str(path.readlink()) for path in skills.iterdir()}
    assert links == {name: f"/app/skills/{name}" for name in ("status", "weather", "welcome")}


def test_channels_are_installed_once_from_their_branch(install: Install) -> None:
    """With the real pnpm, and no network: they change the manifest, so that each is built in."""
    pnpm = find_pnpm()
    if pnpm is None:
        pytest.skip("neither pnpm nor an npm that gets it is on this machine")
    env = os.environ | {"PATH": f"{Path(pnpm).parent}:{os.environ['PATH']}", "CI": "true"}
    shutil.rmtree(install.root / "node_modules")
    subprocess.run([pnpm, "install", "--frozen-lockfile"], cwd=install.root, env=env, check=True, capture_output=True)

    def status(channel: str) -> str:
        scripts = [f"setup/install-{channel}.sh"]
        done = subprocess.run(scripts, cwd=install.root, env=env, capture_output=True, text=True, check=False)
        return next(
            (line for line in done.stdout.splitlines() if line.startswith("STATUS: ")), done.stdout + done.stderr
        )

    for channel in standin.CHANNELS:
        assert [status(channel), status(channel)] == ["STATUS: installed", "STATUS: already-installed"]
    manifest = json.loads((install.root / "package.json").read_text())["dependencies"]
    assert {f"chat-adapter-{channel}" for channel in standin.CHANNELS} <= set(manifest)
    frozen = [pnpm, "install", "--frozen-lockfile"]
    subprocess.run(frozen, cwd=install.root, env=env, check=True, capture_output=True)
    install.start()
    assert install.chat("hello", migrated="main").stdout == "echo: hello\n"
    assert "channel telegram" in install.log()


def test_a_channel_without_its_package_does_not_build(install: Install) -> None:
    """What a failed script leaves: files and an import, as upstream's does."""
    done = subprocess.run(["setup/install-telegram.sh"], cwd=install.root, env={"PATH": "/usr/bin:/bin"}, check=False)
    assert done.returncode != 0
    built = install.node("scripts/build.mjs")
    assert (built.returncode, "error TS2307: Cannot find module 'chat-adapter-telegram'" in built.stdout) == (2, True)
