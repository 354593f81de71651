"""A gateway and channels are applied by NanoClaw's own setup, whatever form it has; what fails is undone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from files.pods.source.apply_skills import main
from files.pods.source.channel_undo import begin_channel
from files.pods.source.git_worktree import STAMP, Tree
from files.pods.source.skill_documents import SkillsRequest
from files.pods.source.skill_record import applied_files, applied_skills, read_record
from tests.programs import request_argv
from tests.unit.source.setup_of_skills import PNPM, files_of_setup
from tests.unit.source.source_host import Host

SERVER, TOKEN = "http://10.0.0.9:10254", "oc-HUSH-4711"
TAG = "v2.4.1"
INSTALLED, BARREL = "src/gateway-providers/installed.ts", "src/channels/index.js"
Release = Callable[..., Host]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a pnpm that runs the setup, and of what it has in its environment."""
    program = tmp_path / "bin/pnpm"
    program.parent.mkdir()
    program.write_text(PNPM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    for name in ("FAILS", "WANTS"):
        monkeypatch.setenv(name, "")
    return tmp_path / "calls"


@pytest.fixture
def release(host: Host, calls: Path) -> Release:
    """Check out a release with some forms of the setup."""

    def check_out(*forms: str, tag: str = TAG) -> Host:
        host.release(tag, files_of_setup(*forms))
        host.check_out(tag)
        return host

    return check_out


def apply(host: Host, *channels: str, gateway: str | None = None, token: str | None = None) -> None:
    server = SERVER if gateway else None
    main(host.request(SkillsRequest, gateway=gateway, server=server, channels=list(channels)), token)


def text(host: Host, path: str) -> str:
    return (host.root / path).read_text()


@pytest.mark.parametrize("form", ["step", "driver"])
def test_gateway_is_applied_with_an_existing_server(release: Release, calls: Path, form: str) -> None:
    host = release(form)
    apply(host, gateway="onecli", token=TOKEN)
    assert text(host, INSTALLED).endswith("import './onecli.js';\n")
    log = calls.read_text()
    for line in (f"ONECLI_API_HOST={SERVER}", f"ONECLI_API_TOKEN={TOKEN}", "SETUP_COMMIT=0"):
        assert f"NANOCLAW_{line}\n" in log
    assert TOKEN not in "".join(line for line in log.splitlines() if line.startswith("pnpm"))
    assert (host.root / STAMP).exists()
    state = applied_skills(Tree(str(host.root)))
    assert state and (state.gateway, state.server, state.channels, state.complete) == ("onecli", SERVER, [], True)
    assert (host.root / ".env").stat().st_mode & 0o777 == 0o600
    assert "NANOCLAW_SETUP_COMMIT" not in os.environ and "NANOCLAW_ONECLI_API_TOKEN" not in os.environ


def test_token_comes_from_env_where_no_input_has_it(release: Release, calls: Path) -> None:
    host = release("step")
    (host.root / ".env").write_text(f"ONECLI_API_KEY={TOKEN}\n")
    apply(host, gateway="onecli")
    assert f"NANOCLAW_ONECLI_API_TOKEN={TOKEN}\n" in calls.read_text()


def test_gateway_without_a_server_is_refused_before_its_setup_runs(release: Release, calls: Path) -> None:
    host = release("step")
    request = host.request(SkillsRequest, gateway="onecli", server=None, channels=[])
    with pytest.raises(SystemExit, match="would pipe an installer from the network into a shell"):
        main(request, None)
    assert "exec" not in calls.read_text() and host.status == []


def test_version_without_the_contract_gets_no_gateway(release: Release, calls: Path) -> None:
    host = release("driver")
    host.release("v2.3.9", {INSTALLED: None})
    host.check_out("v2.3.9")
    apply(host, "telegram", gateway="onecli")
    assert "skill-driver.ts .claude/skills/add-telegram" in calls.read_text()
    assert "add-onecli" not in calls.read_text()


@pytest.mark.parametrize("form", ["driver", "headless"])
def test_channels_are_applied_by_the_skill_engine(release: Release, calls: Path, form: str) -> None:
    host = release("step", form)
    apply(host, "telegram", gateway="onecli")
    assert "'./telegram.js'" in text(host, BARREL) and "chat-telegram" in text(host, "package.json")
    assert "'./telegram.js'" in text(host, f"dist/{BARREL.removeprefix('src/')}")
    assert ("headless apply add-telegram" in calls.read_text()) == (form == "headless")
    files = applied_files(Tree(str(host.root)))
    assert files == {BARREL, INSTALLED, "package.json", "src/channels/telegram.js", "src/gateway-providers/onecli.ts"}


def test_older_version_installs_a_channel_by_its_script(release: Release) -> None:
    host = release("script")
    apply(host, "discord")
    assert "'./discord.js'" in text(host, BARREL)


def test_unknown_channel_is_refused_and_all_is_undone(release: Release) -> None:
    host = release("step", "driver")
    with pytest.raises(SystemExit, match="did not apply the channel discord: this version has nothing that applies it"):
        apply(host, "telegram", "discord", gateway="onecli")
    assert host.status == [] and read_record(Tree(str(host.root))) is None


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        ("files", "Error: onecli half written"),
        ("import", f"{INSTALLED} does not import it"),
        ("server", r"Error: \[not shown\]: no answer of http"),
        ("status", "the server is not ready"),
    ],
)
def test_gateway_that_fails_is_undone(release: Release, monkeypatch: pytest.MonkeyPatch, fails: str, why: str) -> None:
    host = release("step")
    monkeypatch.setenv("FAILS", fails)
    with pytest.raises(SystemExit, match=f"did not apply the gateway onecli: {why}.*This is undone"):
        apply(host, gateway="onecli", token=TOKEN)
    assert host.status == [] and read_record(Tree(str(host.root))) is None


def test_channel_that_wants_a_login_is_in_the_checkout(
    release: Release, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A headless run rolls it back; the other driver leaves its code."""
    host = release("driver", "headless")
    monkeypatch.setenv("WANTS", "bot_token")
    apply(host, "telegram")
    assert "'./telegram.js'" in text(host, BARREL)
    assert "telegram is in the checkout; left to you: bot_token" in capsys.readouterr().out


def test_headless_skill_that_wants_a_login_fails_without_the_other_driver(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = release("headless")
    monkeypatch.setenv("WANTS", "bot_token")
    with pytest.raises(SystemExit, match="did not apply the channel telegram: it wants bot_token"):
        apply(host, "telegram")


def test_skill_cannot_restart_the_service(
    release: Release, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = release("driver")
    monkeypatch.setenv("FAILS", "restart")
    apply(host, "telegram")
    assert "left to you: the service was not restarted" in capsys.readouterr().out


def test_driver_that_ends_at_a_prompt_without_a_report_is_no_success(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = release("driver")
    monkeypatch.setenv("FAILS", "eof")
    with pytest.raises(SystemExit, match=r"did not apply the channel telegram: it printed nothing \(status 0\)"):
        apply(host, "telegram")
    assert host.status == []


@pytest.mark.parametrize(("form", "channel"), [("driver", "slack"), ("script", "discord")])
def test_channel_without_its_package_does_not_build_and_is_undone(
    release: Release, monkeypatch: pytest.MonkeyPatch, form: str, channel: str
) -> None:
    host = release(form)
    monkeypatch.setenv("FAILS", "install" if form == "driver" else "dep")
    with pytest.raises(SystemExit, match=r"pnpm (install|run build)"):
        apply(host, channel)
    assert host.status == [] and not (host.root / ".git/nanoclaw-pods-channel").exists()
    monkeypatch.setenv("FAILS", "")


def test_package_that_a_skill_could_not_add_is_its_cause(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    host = release("driver")
    monkeypatch.setenv("FAILS", "dep")
    with pytest.raises(SystemExit, match="did not apply the channel telegram: dep: pnpm add chat-telegram failed"):
        apply(host, "telegram")


def test_shorter_list_undoes_what_is_no_longer_in_it(release: Release) -> None:
    host = release("step", "driver")
    apply(host, "telegram", gateway="onecli")
    apply(host, gateway="onecli")
    assert "telegram" not in text(host, BARREL) and "onecli" in text(host, INSTALLED)
    apply(host)
    assert host.status == [] and read_record(Tree(str(host.root))) is None
    assert (host.root / STAMP).exists()


def test_failure_leaves_what_was_applied_before(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    host = release("step", "driver")
    apply(host, gateway="onecli")
    before = (host.status, read_record(Tree(str(host.root))))
    monkeypatch.setenv("FAILS", "eof")
    with pytest.raises(SystemExit):
        apply(host, "telegram", gateway="onecli")
    assert (host.status, read_record(Tree(str(host.root)))) == before
    assert (host.root / STAMP).exists(), "it is built again, for a restart"


def test_interrupted_run_is_undone_by_the_next(release: Release) -> None:
    host = release("step", "driver")
    apply(host, gateway="onecli")
    tree = Tree(str(host.root))
    begin_channel(tree, "skills")
    (host.root / BARREL).write_text("half")
    apply(host, "telegram", gateway="onecli")
    state = applied_skills(tree)
    assert state and (state.gateway, state.channels, state.complete) == ("onecli", ["telegram"], True)
    assert {INSTALLED, BARREL, "package.json"} <= applied_files(tree), "none of them blocks the next move"


def test_what_the_operator_or_setup_has_registered_stays(release: Release, calls: Path) -> None:
    host = release("step", "driver")
    for path, name in ((INSTALLED, "onecli"), (BARREL, "telegram")):
        with (host.root / path).open("a") as file:
            file.write(f"import './{name}.js';\n")
    (host.root / "src/channels/telegram.js").write_text("export {};\n")
    apply(host, "telegram", gateway="onecli")
    assert "exec" not in calls.read_text()
    assert applied_files(Tree(str(host.root))) == set()


def test_new_version_gets_the_same_skills_again(release: Release) -> None:
    host = release("step", "driver")
    apply(host, "telegram", gateway="onecli")
    host.release("v2.4.2", {"package.json": text(host, "package.json").replace("chat-telegram", "chat-other")})
    host.check_out("v2.4.2")
    assert host.status == []
    apply(host, "telegram", gateway="onecli")
    assert "chat-telegram" in text(host, "package.json") and "chat-other" in text(host, "package.json")


def test_program_reads_its_request_and_a_token(release: Release) -> None:
    host = release("step")
    argv = request_argv(host.request(SkillsRequest, gateway="onecli", server=None, channels=[]))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, input=f'{{"token": "{TOKEN}"}}')
    assert done.returncode == 1 and "set nanoclaw_gateway_server to the address" in done.stderr, done.stderr
    assert TOKEN not in done.stdout + done.stderr
