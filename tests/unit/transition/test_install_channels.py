"""NanoClaw's scripts install channels into the checkout; a failed script is undone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from files.pods.source import channel_undo
from files.pods.source import git_worktree as git_tree
from files.pods.source.channel_undo import CHANNEL, begin_channel, undo_channel
from files.pods.source.git_worktree import STAMP, Tree
from files.pods.transition.install_channels import main
from tests.lab.standin import make_repository
from tests.unit.source.source_host import NEW, OLD, Host
from tests.unit.trees.trees import needs_root

PNPM = """#!/bin/bash
echo "Progress: resolved 1, reused 0, downloaded 0, added 0"
[ -z "$PNPM_FAILS" ] || {
    echo " ERR_PNPM_FETCH_404\u2009 GET https://registry.invalid/$2: Not Found - 404"
    for n in 1 2 3 4 5 6 7; do echo "    at fetch (file:///usr/lib/pnpm/dist/pnpm.cjs:$n:1)"; done
    exit 1
}
case $1 in
    install) [ $# -gt 1 ] || exit 0
        name=${2%@link:*}
        mkdir -p node_modules && ln -sfn "../${2#*@link:}" "node_modules/$name"
        sed -i "s|\\"install-slug\\"|\\"$name\\": \\"${2#*@}\\",\\n    \\"install-slug\\"|" package.json ;;
    run) node scripts/build.mjs ;;
esac
"""


@pytest.fixture
def pnpm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pnpm that installs what is linked; with PNPM_FAILS it fails as the real one does."""
    program = tmp_path / "bin/pnpm"
    program.parent.mkdir()
    program.write_text(PNPM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


@pytest.fixture
def built(host: Host, pnpm: Path) -> Iterator[Host]:
    """A checkout that was built, with a change of the operator's."""
    host.check_out(OLD)
    modules = host.root / "node_modules"
    modules.mkdir()
    (modules / "install-slug").symlink_to(host.root / "packages/install-slug")
    (host.root / STAMP).write_text('{"node": "20"}')
    (host.root / "src/log.js").write_text("// mine\n")
    (host.root / "src/log.js").chmod(0o600)
    (host.root / "notes").write_text("mine too\n")
    (host.root / "src/breaker.js").unlink()
    yield host


def install(host: Host, *channels: str) -> dict[str, list[str]]:
    return main(str(host.root), list(channels))


def files(host: Host) -> dict[str, tuple[int, bytes]]:
    """Every file of the checkout but those of git and of packages."""
    paths = [path for path in host.root.rglob("*") if path.is_file() and not path.is_symlink()]
    mine = [path for path in paths if not {".git", "node_modules", "dist"} & set(path.relative_to(host.root).parts)]
    return {str(path): (path.stat().st_mode, path.read_bytes()) for path in mine}


MINE = [" D src/breaker.js", " M src/log.js", "?? notes"]


def test_channels_are_installed_once(built: Host) -> None:
    (built.root / "src/breaker.js").write_text(built.git("show", "HEAD:src/breaker.js") + "\n")
    assert install(built, "telegram", "whatsapp") == {"installed": ["telegram", "whatsapp"], "there": []}
    assert not (built.root / STAMP).exists() and not (built.root / ".git" / CHANNEL).exists()
    assert "'./telegram.js'" in (built.root / "dist/channels/index.js").read_text()
    (built.root / STAMP).write_text("{}")
    assert install(built, "telegram", "whatsapp") == {"installed": [], "there": ["telegram", "whatsapp"]}
    assert (built.root / STAMP).read_text() == "{}"


def test_version_without_the_channel_is_refused_and_nothing_changes(built: Host) -> None:
    before = files(built)
    with pytest.raises(SystemExit, match=r"no setup/install-slack\.sh: set nanoclaw_ref to one that has it"):
        install(built, "slack")
    assert files(built) == before and (built.root / STAMP).exists()


def test_failure_is_undone_and_its_cause_is_shown(built: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(built)
    monkeypatch.setenv("PNPM_FAILS", "1")
    with pytest.raises(SystemExit) as failure:
        install(built, "telegram")
    text = str(failure.value.code)
    assert "setup/install-telegram.sh did not install telegram (status 1): ERR_PNPM_FETCH_404 GET https://" in text
    assert "Not Found - 404. Its changes are undone." in text and "    at fetch" not in text and "Progress" not in text
    assert files(built) == before and built.status == MINE
    assert not (built.root / STAMP).exists()  # the script may have built as well
    assert not (built.root / ".git" / CHANNEL).exists()


def test_earlier_channel_stays_if_a_later_one_fails(built: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (built.root / "src/breaker.js").write_text(built.git("show", "HEAD:src/breaker.js") + "\n")
    install(built, "telegram")
    before = files(built)
    monkeypatch.setenv("PNPM_FAILS", "1")
    with pytest.raises(SystemExit):
        install(built, "whatsapp")
    assert files(built) == before and (built.root / "src/channels/telegram.js").exists()
    subprocess.run(["node", "scripts/build.mjs"], cwd=built.root, check=True)  # it builds


def test_script_without_a_status_line_fails(built: Host) -> None:
    script = built.root / "setup/install-telegram.sh"
    script.write_text("exit 0\n")
    with pytest.raises(SystemExit, match=r"did not install telegram \(status 0\): it printed nothing"):
        install(built, "telegram")
    script.write_text("echo STATUS: failed; echo STEP: one; echo why not\n")
    with pytest.raises(SystemExit, match=r"did not install telegram \(failed\): why not"):
        install(built, "telegram")
    assert script.read_text().startswith("echo")


def test_last_status_line_counts(built: Host) -> None:
    (built.root / "setup/install-telegram.sh").write_text("echo STATUS: failed; echo STATUS: installed\n")
    assert install(built, "telegram") == {"installed": ["telegram"], "there": []}


def _killed_in_the_middle(built: Host) -> None:
    script = "import sys\nfrom files.pods.transition.install_channels import main\nmain(sys.argv[1], ['telegram'])"
    pnpm = Path(os.environ["PATH"].split(":")[0]) / "pnpm"
    text = pnpm.read_text()
    pnpm.write_text("#!/bin/bash\nkill -9 $(ps -o ppid= $PPID)\nkill -9 $PPID\n")
    argv = [sys.executable, "-c", script, str(built.root)]
    done = subprocess.run(argv, cwd=Path(__file__).parents[3], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    pnpm.write_text(text)
    assert (built.root / "src/channels/telegram.js").exists()


def test_next_install_undoes_a_killed_one(built: Host) -> None:
    before = files(built)
    _killed_in_the_middle(built)
    with pytest.raises(SystemExit, match="no setup/install-slack"):
        install(built, "slack")
    assert files(built) == before and built.status == MINE


def test_new_ref_undoes_a_killed_install(built: Host) -> None:
    _killed_in_the_middle(built)
    (built.root / "package.json").write_text("half written")
    assert built.look(NEW).changed == []
    assert built.move(NEW).returncode == 0
    assert built.head == NEW and built.status == MINE


def test_undo_leaves_large_files_links_and_repositories_alone(built: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_undo, "LARGEST_KEPT", 10)
    (built.root / "large").write_text("x" * 11)
    (built.root / "link").symlink_to("nowhere")
    subprocess.run(["git", "init", "--quiet", str(built.root / "theirs")], check=True)
    tree = Tree(str(built.root))
    begin_channel(tree, "telegram")
    (built.root / "large").write_text("y" * 12)
    (built.root / "link").unlink()
    (built.root / "new").write_text("new")
    assert undo_channel(tree) == "telegram" and undo_channel(tree) is None
    assert (built.root / "large").read_text() == "y" * 12 and (built.root / "theirs/.git").is_dir()
    assert (built.root / "link").readlink() == Path("nowhere") and not (built.root / "new").exists()


@needs_root
def test_git_trusts_a_checkout_of_another_owner(pnpm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On pods that squash root's checkout belongs to the agent."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the agent goes its way to its checkout
        make_repository(Path(folder) / "remote.git")
        host = Host(Path(folder) / "root", Path(folder) / "remote.git")
        host.check_out(OLD)
        (host.root / "node_modules").mkdir()
        (host.root / "node_modules/install-slug").symlink_to(host.root / "packages/install-slug")
        home = Path(folder) / "home"
        home.mkdir()
        (home / ".gitconfig").write_text("[user]\n\tname = Me\n")
        for name, value in {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}.items():
            monkeypatch.setenv(name, value)
        subprocess.run(["chown", "-R", "4242:4242", str(host.root)], check=True)
        dubious = subprocess.run(["git", "status"], cwd=host.root, capture_output=True, text=True)
        assert "dubious ownership" in dubious.stderr
        monkeypatch.setattr(git_tree, "on_network", lambda _path: True)
        script = host.root / "setup/install-whatsapp.sh"
        script.write_text(
            'git config user.name && [ "$(git status --porcelain | wc -l)" -gt 0 ] && echo STATUS: installed'
        )
        answer = main(str(host.root), ["telegram", "whatsapp"])
        assert answer == {"installed": ["telegram", "whatsapp"], "there": []}
        assert "GIT_CONFIG_GLOBAL" not in os.environ
