"""The archive that a machine gets of a program: what is in it, how it runs, and what it leaves."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from files.pods.__main__ import BEGIN as PRINTED_FIRST
from files.pods.__main__ import END as PRINTED_LAST
from tasks import bundle as module
from tasks.bundle import BEGIN, BOOT, END, PODS, archive, boot_argv, boot_input, bundle, entry_of, sources
from tests.unit.trees.trees import needs_root


def entry_name(path: Path) -> str:
    """The name of an entry by its file."""
    return ".".join(path.relative_to(PODS).with_suffix("").parts)


ENTRIES = sorted(
    entry_name(path)
    for path in PODS.rglob("*.py")
    if path.parent not in (PODS, PODS / "common")
    and (
        "json.loads(sys.argv[1])" in path.read_text(encoding="utf-8")
        or "read_request(" in path.read_text(encoding="utf-8")
    )
)
LONGEST = 64_000
"""Characters of an archive that is sent."""
STARTED_THERE = {"source.remove_stage", "source.switch_to_stage", "transition.roll_back_version"}
"""Entries that only the runner on the machine starts, from an archive that lies there."""


def send(entry: str, request: object, payload: str = "", **more: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, *boot_argv(entry)[1:]]
    stdin = boot_input(entry, request, payload, mark=True)  # type: ignore[arg-type]
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60, check=False, **more)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a program `room.child`, in a package of its own."""
    pods = tmp_path / "files/pods"
    (pods / "room").mkdir(parents=True)
    (pods / "__main__.py").write_text((PODS / "__main__.py").read_text())
    monkeypatch.setattr(module, "_PROJECT", tmp_path)
    monkeypatch.setattr(module, "PODS", pods)
    bundle.cache_clear()
    module._line.cache_clear()
    yield pods / "room/child.py"
    bundle.cache_clear()
    module._line.cache_clear()


def test_the_bundle_has_every_program() -> None:
    assert len(ENTRIES) >= 40


@pytest.mark.parametrize("entry", sorted(set(ENTRIES) - STARTED_THERE))
def test_what_is_sent_is_bounded(entry: str) -> None:
    assert len(module._line(entry)) < LONGEST


def test_an_archive_holds_what_the_entry_imports_and_nothing_else() -> None:
    assert set(sources("nfs.mounts")) == {
        "files/pods/nfs/mount_state.py",
        "files/pods/nfs/mounts.py",
        "files/pods/common/ids.py",
        "files/pods/common/linux.py",
        "files/pods/common/protocol.py",
        "files/pods/common/sanitize.py",
        "files/pods/nfs/protocol.py",
        "files/pods/common/mountinfo.py",
        "files/pods/common/read_text.py",
        "files/pods/common/read_untrusted.py",
    }


def test_equal_sources_make_equal_bytes() -> None:
    files = sources("nfs.mounts")
    assert archive(files) == archive(dict(files)) == bundle("nfs.mounts")
    assert archive({**files, "files/pods/nfs/mounts.py": "# other"}) != archive(files)
    with zipfile.ZipFile(io.BytesIO(archive(files))) as file:
        assert {(info.date_time, info.compress_type) for info in file.infolist()} == {((1980, 1, 1, 0, 0, 0), 0)}


def test_an_imported_module_is_bundled_however_it_is_imported(child: Path) -> None:
    for name in ("one", "two"):
        (child.parent / f"{name}.py").write_text(f"def {name}(): return '{name}'\n")
    text = "from files.pods.room import one\nfrom files.pods.room.two import two\nprint(one.one(), two())\n"
    child.write_text(text)
    assert send("room.child", {}).stdout.split("\n")[1:2] == ["one two"]


def test_a_child_of_a_program_runs_in_the_c_locale(child: Path) -> None:
    child.write_text('import subprocess\nsubprocess.run(["env"])\n')
    german = {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "LANGUAGE": "de:en", "PATH": os.environ["PATH"]}
    lines = send("room.child", {}, env=german).stdout.splitlines()
    assert "LC_ALL=C.UTF-8" in lines
    assert not [line for line in lines if line.startswith("LANGUAGE=")]


@pytest.mark.parametrize("umask", [0, 0o002, 0o077])
def test_what_a_program_creates_depends_on_no_umask_of_a_session(child: Path, tmp_path: Path, umask: int) -> None:
    """With 077 a host user could not reach what root made for it; with 000 others could write beside it."""
    child.write_text("import os, sys\nos.makedirs('new/inner', mode=0o755)\nopen('new/file', 'w').close()\n")
    assert send("room.child", {}, umask=umask, cwd=tmp_path).returncode == 0
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("new", "new/inner", "new/file")}
    assert modes == {"new": 0o755, "new/inner": 0o755, "new/file": 0o644}


def test_a_program_gets_its_request_and_its_payload(child: Path) -> None:
    child.write_text("import json, sys\nprint(json.dumps([json.loads(sys.argv[1]), sys.stdin.read()]))\n")
    request, payload = {"a": "ü\n'\""}, "one\ntwo\n"
    assert json.loads(send("room.child", request, payload).stdout.splitlines()[1]) == [request, payload]


def test_an_answer_stands_between_the_marks(child: Path) -> None:
    child.write_text("print('x')\n")
    assert (PRINTED_FIRST, PRINTED_LAST) == (BEGIN, END)
    assert send("room.child", {}).stdout == f"{BEGIN}\nx\n{END}\n"


def test_a_traceback_names_file_and_line(child: Path) -> None:
    child.write_text("def fail():\n    raise ValueError('why')\n\n\nfail()\n")
    done = send("room.child", {})
    assert done.returncode == 1 and END not in done.stdout
    assert 'files/pods/room/child.py", line 2, in fail' in done.stderr


def test_the_status_of_a_program_is_that_of_the_run(child: Path) -> None:
    child.write_text("import sys\nsys.exit('no')\n")
    done = send("room.child", {})
    assert (done.returncode, done.stderr) == (1, "no\n")


def test_the_command_line_of_a_process_is_the_boot_text_and_the_entry(child: Path) -> None:
    child.write_text("print(open('/proc/self/cmdline').read().split('\\0')[1:-1])\n")
    done = send("room.child", {"secret": "hunter2"}, "hunter3\n")
    assert done.stdout.splitlines()[1] == str(["-I", "-c", BOOT, "room.child"])
    assert len(BOOT) < 300


@needs_root
def test_a_fact_leaves_nothing_on_a_machine(child: Path) -> None:
    """It runs where no file system can be written to."""
    child.write_text("import json, sys\nprint(json.loads(sys.argv[1])['a'])\n")
    points = "findmnt --noheadings --list --output TARGET"
    script = f'for point in $({points}); do mount -o remount,bind,ro "$point" 2>/dev/null; done; exec "$@"'
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", f"{script}", "sh"]
    touched = subprocess.run([*argv, "touch", "/tmp/x", "/root/x", "/run/x", "/var/x"], capture_output=True, text=True)
    assert touched.stderr.count("Read-only file system") == 4
    argv_of_fact = [*argv, sys.executable, *boot_argv("room.child")[1:]]
    stdin = boot_input("room.child", {"a": "looked"})
    done = subprocess.run(argv_of_fact, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "looked\n"), done.stderr


def test_what_lies_on_a_machine_is_the_same_archive(tmp_path: Path) -> None:
    (tmp_path / "x.pyz").write_bytes(bundle("machine.packages"))
    argv = [sys.executable, "-I", str(tmp_path / "x.pyz"), "machine.packages"]
    request = json.dumps({"packages": ["dpkg"]})
    by_argv = subprocess.run([*argv, request], capture_output=True, text=True, timeout=60, check=True)
    by_input = subprocess.run(
        argv, input=module.request_line({"packages": ["dpkg"]}), capture_output=True, text=True, timeout=60, check=True
    )
    assert by_argv.stdout == by_input.stdout and "dpkg" in json.loads(by_argv.stdout)["installed"]
    assert list(tmp_path.iterdir()) == [tmp_path / "x.pyz"], "no bytecode beside it"


def test_python_reads_the_archive_without_a_package_file() -> None:
    names = zipfile.ZipFile(BytesIO(bundle("v1.audit.main"))).namelist()
    assert {"__main__.py", "files/", "files/pods/", "files/pods/v1/", "files/pods/v1/audit/"} <= set(names)


@pytest.mark.parametrize(("command", "entry"), [("systemctl restart x", None), ("python3 -I -c print() x", None)])
def test_another_command_runs_no_entry(command: str, entry: str | None) -> None:
    assert entry_of(command) is entry


@pytest.mark.parametrize("path", sorted(PODS.rglob("*.py")), ids=entry_name)
def test_a_file_that_is_a_program_and_a_module_runs_only_as_a_program(path: Path) -> None:
    """Another guard would make a program that does nothing, and ends well."""
    guards = [node.test for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.If)]
    texts = [ast.unparse(guard) for guard in guards if "__name__" in ast.unparse(guard)]
    assert texts in ([], ["__name__ == '__main__'"])
