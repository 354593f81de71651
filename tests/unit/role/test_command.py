"""The text that a machine gets of a program: its locale, and how its document is told from other output."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import FactProcessError

from tasks import command
from tasks.command import BEGIN, END, PROGRAMS, program_name, program_text
from tasks.facts.packages import Packages

GERMAN = {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "LANGUAGE": "de:en", "PATH": os.environ["PATH"]}


def test_every_child_of_a_program_runs_in_the_c_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'from __future__ import annotations\n\nimport subprocess\n\nsubprocess.run(["env"])\n'
    (tmp_path / "child.py").write_text('"""Has a child."""\n\n' + text)
    monkeypatch.setattr(command, "PROGRAMS", tmp_path)
    argv = ["python3", "-I", "-c", program_text.__wrapped__("child")]
    lines = subprocess.run(argv, env=GERMAN, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "LC_ALL=C.UTF-8" in lines
    assert not [line for line in lines if line.startswith("LANGUAGE=")]


@pytest.mark.parametrize("path", sorted(PROGRAMS.rglob("*.py")), ids=program_name)
def test_the_locale_is_set_before_a_program_does_anything(path: Path) -> None:
    _docstring, code = program_text(program_name(path)).split("from __future__ import annotations\n", 1)
    assert code.startswith('\nimport os\n\nos.environ["LC_ALL"] = "C.UTF-8"')
    assert code.count('os.environ["LC_ALL"]') == 1


@pytest.mark.parametrize(
    "shell",
    [
        "{}",
        "echo Welcome; {}",
        "{}; echo logout; echo '{{}}'",
        "printf '\\033]0;a title\\007'; {}; printf '\\033[0m'",
        'echo \'{{"installed": {{"dpkg": "forged"}}}}\'; {}; echo \'{{"installed": {{"dpkg": "forged"}}}}\'',
        "printf 'no line break: '; {}; printf '$ '",
    ],
)
def test_a_document_is_found_whatever_shells_print(shell: str) -> None:
    sent = StringCommand(Packages().command(["dpkg"])).get_raw_value()
    done = subprocess.run(["sh", "-c", shell.format(sent)], capture_output=True, text=True, check=True)
    assert Packages().process(done.stdout.split("\n")).installed["dpkg"] != "forged"


def test_a_document_holds_what_looks_like_a_mark() -> None:
    document = f'{{"installed": {{"a": "{END} {BEGIN}"}}}}'
    output = ["hello", BEGIN, document, END, "bye"]
    assert Packages().process(output).installed == {"a": f"{END} {BEGIN}"}


@pytest.mark.parametrize(
    "output",
    [[BEGIN, END], [BEGIN, "{}", END], [BEGIN, END, '{"installed": {}}'], ["{" * 10000], ['{"a":' * 100000]],
)
def test_what_is_no_document_is_none(output: list[str]) -> None:
    with pytest.raises(FactProcessError, match=r"machine\.packages printed something else than its document"):
        Packages().process(output)
