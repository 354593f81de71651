"""The build of a checkout: native modules are compiled once, and a failure names its cause."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import time
from pathlib import Path

import pytest

from files.pods.common.run_as_host_user import HOST_PATH
from files.pods.service.last_start import digest
from files.pods.source import build as build_source
from files.pods.source.build import MODULES, main
from files.pods.source.channel_undo import begin_channel
from files.pods.source.git_worktree import STAMP, Tree
from files.pods.source.protocol import BuildRequest
from tests.unit.source.source_host import OLD, Host

PNPM = r"""#!/bin/bash
# As pnpm 10: an install compiles native modules that are new, a rebuild compiles all; without headers both fail.
echo "Progress: resolved 1, reused 0, downloaded 0, added 0"
compile() {
    echo "pnpm $*" >> "$CALLS"
    mkdir -p node_modules/better-sqlite3
    [ -z "$NO_HEADERS" ] || {
        echo ".../node_modules/better-sqlite3 install: prebuild-install warn install getaddrinfo ENOTFOUND github.com"
        echo ".../better-sqlite3 install: gyp ERR! stack FetchError: request to https://nodejs.org/download failed"
        echo ".../better-sqlite3 install: gyp ERR! stack     at ClientRequest.<anonymous> (/usr/node-fetch.js:108:14)"
        echo " ELIFECYCLE  Command failed with exit code 1."
        exit 1
    }
    echo "compiled" >> "$CALLS"
    node -p process.versions.modules > node_modules/better-sqlite3/abi
    echo "const abi = require('fs').readFileSync(__dirname + '/abi', 'utf8').trim();
if (abi !== process.versions.modules) throw new Error('NODE_MODULE_VERSION ' + abi);
module.exports = class { close() {} };" > node_modules/better-sqlite3/index.js
}
case $1 in
    install) [ -f node_modules/better-sqlite3/index.js ] || compile "$@"
        ln -sfn ../packages/install-slug node_modules/install-slug ;;
    rebuild) compile "$@" ;;
    run) node scripts/build.mjs ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin/pnpm"
    program.parent.mkdir()
    program.write_text(PNPM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


@pytest.fixture
def checked_out(host: Host, calls: Path) -> Host:
    host.check_out(OLD)
    return host


def build(host: Host, node: str = "20") -> None:
    root = str(host.root)
    source = {
        name: digest(f"{root}/{file}") for name, file in (("lock", "pnpm-lock.yaml"), ("package", "package.json"))
    }
    main(root, {**source, "node": node})


def compiled(calls: Path) -> int:
    return calls.read_text().splitlines().count("compiled")


def note(host: Host) -> dict[str, object]:
    content: dict[str, object] = json.loads((host.root / STAMP).read_text())
    return content


def test_build_records_its_source_and_compiles_once(checked_out: Host, calls: Path) -> None:
    build(checked_out)
    record = note(checked_out)
    assert isinstance(record.pop("finished"), float)
    assert record == {
        "lock": digest(str(checked_out.root / "pnpm-lock.yaml")),
        "package": digest(str(checked_out.root / "package.json")),
        "node": "20",
    }
    build(checked_out)
    assert compiled(calls) == 1


def test_modules_are_compiled_once_after_a_failed_build(
    checked_out: Host, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_HEADERS", "1")
    with pytest.raises(SystemExit):
        build(checked_out)
    assert (checked_out.root / "node_modules").is_dir() and not (checked_out.root / STAMP).exists()
    monkeypatch.delenv("NO_HEADERS")
    build(checked_out)
    assert compiled(calls) == 1


def test_modules_are_not_compiled_again_after_an_interrupted_build(checked_out: Host, calls: Path) -> None:
    build(checked_out)
    (checked_out.root / STAMP).unlink()
    build(checked_out)
    assert compiled(calls) == 1


@pytest.mark.parametrize("noted_in", [MODULES, STAMP])
def test_modules_are_compiled_again_for_another_node(checked_out: Host, calls: Path, noted_in: str) -> None:
    """Earlier versions of the role wrote STAMP alone."""
    build(checked_out)
    for name in {MODULES, STAMP} - {noted_in}:
        (checked_out.root / name).unlink()
    build(checked_out, node="22")
    assert compiled(calls) == 2
    assert json.loads((checked_out.root / MODULES).read_text()) == {"node": "22"}
    build(checked_out, node="22")
    assert compiled(calls) == 2


@pytest.mark.parametrize("noted", [True, False])
def test_modules_that_do_not_load_are_compiled_again(checked_out: Host, calls: Path, noted: bool) -> None:
    build(checked_out)
    for name in () if noted else (MODULES, STAMP):
        (checked_out.root / name).unlink()
    (checked_out.root / "node_modules/better-sqlite3/abi").write_text("1")
    build(checked_out)
    assert compiled(calls) == 2


def test_interrupted_rebuild_is_repeated(checked_out: Host, calls: Path) -> None:
    build(checked_out)
    pnpm = Path(os.environ["PATH"].split(":")[0]) / "pnpm"
    text = pnpm.read_text()
    pnpm.write_text(text.replace("rebuild) compile", "rebuild) exit 3; compile"))
    with pytest.raises(SystemExit, match=r"pnpm rebuild in .* failed \(status 3\)"):
        build(checked_out, node="22")
    pnpm.write_text(text)
    build(checked_out, node="22")
    assert compiled(calls) == 2


def test_build_without_headers_names_cause_and_way_out(checked_out: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_HEADERS", "1")
    monkeypatch.setenv("HOME", "/home/nanoclaw")
    with pytest.raises(SystemExit) as failure:
        build(checked_out)
    output = str(failure.value.code)
    assert "FetchError: request to https://nodejs.org/download failed" in output
    assert "nodedir=/usr to /home/nanoclaw/.npmrc" in output and "/etc/npmrc" in output
    assert "Progress" not in output and "at ClientRequest" not in output and "ELIFECYCLE" not in output


def test_other_failure_names_only_its_cause(checked_out: Host) -> None:
    (checked_out.root / "src/config.js").write_text("import { x } from 'pino';\n")
    with pytest.raises(SystemExit) as failure:
        build(checked_out)
    output = str(failure.value.code)
    assert output.endswith(
        "src/config.js(1,1): error TS2307: Cannot find module 'pino' or its corresponding type declarations."
    )
    assert not (checked_out.root / STAMP).exists()


def test_build_without_its_result_fails(checked_out: Host) -> None:
    (checked_out.root / "scripts/build.mjs").write_text("")
    with pytest.raises(SystemExit, match=r"there is no .*/dist/index\.js"):
        build(checked_out)
    assert not (checked_out.root / STAMP).exists()


def test_unfinished_channel_install_is_undone_before_the_build(checked_out: Host) -> None:
    begin_channel(Tree(str(checked_out.root)), "telegram")
    package = digest(str(checked_out.root / "package.json"))
    (checked_out.root / "package.json").write_text("{}")
    (checked_out.root / "src/channels/index.js").write_text("import './telegram.js';\n")
    (checked_out.root / "src/channels/telegram.js").write_text("import 'pino';\n")
    build(checked_out)
    assert checked_out.status == [] and note(checked_out)["package"] == package


def test_missing_module_counts_as_loadable(tmp_path: Path) -> None:
    assert build_source.loads(str(tmp_path))
    (tmp_path / "node_modules/better-sqlite3").mkdir(parents=True)
    assert not build_source.loads(str(tmp_path))


def test_hanging_node_does_not_load_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build goes on, and compiles it again."""
    (tmp_path / "node_modules/better-sqlite3").mkdir(parents=True)
    (tmp_path / "node").write_text("#!/bin/sh\nexec sleep 20\n")
    (tmp_path / "node").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(build_source, "LOAD_SECONDS", 0.5)
    start = time.monotonic()
    assert not build_source.loads(str(tmp_path))
    assert time.monotonic() - start < 15


def test_build_runs_as_the_host_user_with_the_path_of_its_service(checked_out: Host) -> None:
    """Ignores the pnpm of this test's PATH, and names the user."""
    if shutil.which("pnpm", path=HOST_PATH):
        pytest.skip("this machine has a pnpm of its own")
    done = checked_out.run(BuildRequest, source={"lock": "", "package": "", "node": "20"})
    me = pwd.getpwuid(os.getuid()).pw_name
    expected = f"pnpm in {checked_out.root} cannot be started as {me}: No such file or directory\n"
    assert (done.returncode, done.stderr) == (1, expected)
    assert checked_out.lock.exists()
