"""Output of a machine reaches the operator's terminal as printable text, whichever way it takes.

Runs of the real command line with @local, on a terminal; commands, facts and errors print what an attacker would.
"""

from __future__ import annotations

import ast
import io
import os
import pty
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import terminal
from tasks.model.migration.markdown import code, plain
from tasks.model.sanitize import LINES, printable
from tests.unit.project.test_conformance import CAPABILITIES, PROJECT, tree

EVIL = "x\x1b]0;title\x07y\x1b[2Jz\rover\x9b31mcsi\u202ebidi\x1b[31mred\x00\x08\x7f"
"""A title, a bell, a cleared screen, an overwritten line, an 8-bit CSI, reversed text, a colour, NUL, BS, DEL."""

SHOWN = "\\x08\\x7f"
"""How its end looks where it was filtered."""

CONFIG = "from tasks.terminal import protect_terminal\n\nprotect_terminal()\n"

HEAD = f"""\
import json
import logging
import sys
from pyinfra import host, logger, state
from pyinfra.api import FactBase, FunctionCommand, StringCommand, operation
from pyinfra.api.exceptions import FactProcessError, OperationError, PyinfraError
from tasks.facts import ProgramFact
from tasks.operations.base import _fail, pods_operation
from tasks.report import say, show_diff

EVIL = {EVIL!r}
PRINTS = "printf %b '" + "".join(f"\\\\x{{byte:02x}}" for byte in EVIL.encode()) + "'"
PRINTS = f"python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(\\"{{EVIL.encode().hex()}}\\"))'"


class Says(FactBase[list[str]]):
    def command(self):
        return PRINTS

    def process(self, output):
        return output


class Errs(Says):
    def command(self):
        return f"{{PRINTS}} >&2; exit 3"


class Refuses(Says):
    def process(self, output):
        raise FactProcessError(f"bad answer {{output[0]}}")


@operation()
def runs(command):
    yield command


@pods_operation
def reports():
    say(EVIL)
    show_diff("/a/path", "old\\n", EVIL + "\\n")
    yield StringCommand("true")


@pods_operation
def fails():
    yield StringCommand("true")
    if state.is_executing:
        raise OperationError(EVIL)
"""

WAYS = {
    "output of a command that succeeds": "runs(name='r', command=PRINTS)",
    "output of a command that fails": "runs(name='r', command=f'{PRINTS} >&2; exit 1')",
    "a fact's output": "host.get_fact(Says)",
    "a fact that fails": "host.get_fact(Errs)",
    "a fact with a refused reply": "host.get_fact(Refuses)",
    "what an operation says, and its diff": "reports(name='r')",
    "an operation that fails": "fails(name='r')",
    "a log line": "logger.info('    %s: %s', 'it', EVIL)",
    "a warning": "logger.warning(EVIL)",
    "an error": "logger.error(EVIL)",
    "a line of the host": "host.log_styled(EVIL, fg='red')",
    "a noop": "host.noop(EVIL)",
    "a refusal of the whole run": "raise PyinfraError(EVIL)",
    "an error of the run's own": "raise OperationError(EVIL)",
    "a traceback": "raise RuntimeError(EVIL)",
    "a print": "print(EVIL)\nprint(EVIL, file=sys.stderr)",
    "an operation's name": "runs(name=EVIL.replace(chr(0), ''), command='true')",
    "a message of the logging module": "logging.getLogger('paramiko').warning(EVIL)",
    "a function's error": "runs(name='r', command=FunctionCommand(lambda: print(EVIL) or 1 / 0, (), {}))",
}

COLOURS = re.compile(r"\x1b\[(0|1|22|3[0-7]|9[0-7])m")
"""What click.style writes for pyinfra."""


def on_a_terminal(args: list[str], folder: Path) -> str:
    """What a command writes to a terminal."""
    main, other = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TERM": "xterm", "PYINFRA_PROGRESS": "off"}
    with subprocess.Popen(
        args, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=other, stderr=other
    ) as process:
        os.close(other)
        output = b""
        while True:
            try:
                more = os.read(main, 1 << 16)
            except OSError:
                break
            if not more:
                break
            output += more
    os.close(main)
    assert process.returncode is not None
    return output.decode("utf-8", "replace").replace("\r\n", "\n")  # as the terminal's driver makes line ends


def unprintable(text: str) -> list[str]:
    rest = COLOURS.sub("", text)
    return [char for char in rest if char not in LINES and not char.isprintable()]


def run(folder: Path, deploy: str, *args: str) -> str:
    (folder / "config.py").write_text(CONFIG)
    (folder / "deploy.py").write_text(f"{HEAD}\n\n{deploy}\n")
    (folder / "inventory.py").write_text(f"hosts = [('@local', {{'evil': {EVIL!r}}})]\n")
    (folder / "evil").write_text(EVIL)
    return on_a_terminal([str(Path(sys.executable).parent / "pyinfra"), "inventory.py", *args], folder)


@pytest.mark.parametrize("way", WAYS)
def test_no_way_out_shows_control_characters(way: str, tmp_path: Path) -> None:
    output = run(tmp_path, WAYS[way], "deploy.py", "-y", "-vvv", "--diff")
    assert "\x1b[1m" in output, "pyinfra's own colours pass"
    assert unprintable(output) == [], output
    assert SHOWN in output, output


@pytest.mark.parametrize(
    ("deploy", "args"),
    [
        ("reports(name='r')\nhost.get_fact(Says)", ["deploy.py", "--dry", "--diff", "-v"]),
        ("host.get_fact(Says)", ["deploy.py", "--debug-facts", "-vvv"]),
        ("reports(name=EVIL.replace(chr(0), ''))", ["deploy.py", "--debug-operations"]),
        ("", ["debug-inventory"]),
        ("", ["exec", "-y", "--", "cat", "evil"]),
    ],
    ids=["dry", "facts", "operations", "inventory", "exec"],
)
def test_nor_does_a_run_that_only_reads(deploy: str, args: list[str], tmp_path: Path) -> None:
    output = run(tmp_path, deploy, *args)
    assert unprintable(output) == [], output
    assert "title" in output


def test_the_roles_own_runs_are_filtered() -> None:
    """Both of what pyinfra reads: a fleet's directory may have a config.py of its own, or none."""
    for path in (PROJECT / "config.py", PROJECT / "deploy.py"):
        calls = [ast.unparse(node.value) for node in tree(path).body if isinstance(node, (ast.Expr, ast.Assign))]
        ours = [call for call in calls if re.match(r"(protect_terminal|check_)", call)]
        assert ours[0] == "protect_terminal()", f"{path}: after something that prints"


def test_nothing_of_the_role_writes_past_the_filter() -> None:
    """It stands at sys.stdout and sys.stderr: nothing writes to a descriptor, or to the streams' buffers."""
    for path in CAPABILITIES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"os\.write\(|(?<!stdin)\.buffer\b|__std(out|err)__|/dev/tty", text), path


@given(st.text())
def test_what_is_shown_is_printable_and_plain_text_stays(text: str) -> None:
    for coloured in (False, True):
        out = terminal.shown(f"x{text}", coloured=coloured)
        assert all(char in LINES or char.isprintable() for char in out)
    assert printable(printable(text)) == printable(text)
    if text.isprintable():
        assert printable(text) == text
    assert all(unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in printable(text))


def test_a_colour_passes_only_with_the_number_of_this_run() -> None:
    own = terminal._own_style("text", fg="red", bold=True)
    assert terminal.shown(own, coloured=True) == click.unstyle(own).join(["\x1b[31m\x1b[1m", "\x1b[0m"])
    assert terminal.shown(own, coloured=False) == "text"
    assert terminal.shown("\x1b[31mtext\x1b[0m", coloured=True) == "\\x1b[31mtext\\x1b[0m"
    assert terminal.shown("\x1b[12345;31mtext", coloured=True) == "\\x1b[12345;31mtext"


def test_what_a_machine_says_inside_a_colour_is_filtered_too() -> None:
    assert terminal.shown(terminal._own_style("a\x1b[5mb", fg="red"), coloured=False) == "a\\x1b[5mb"


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("    - 50% (1/2) - waiting\r", "    - 50% (1/2) - waiting\r"),
        ("    | {a\x1b[2J}\r", "    | {a\\x1b[2J}\r"),
        ("\x1b[K", "\x1b[K"),
        ("    all is well\r", "    all is well\\r"),
        ("    - one\rtwo\r", "    - one\\rtwo\\r"),
        ("\x1b[K\n", "\\x1b[K\n"),
    ],
)
def test_the_spinner_turns_and_nothing_else_goes_back_in_a_line(text: str, out: str) -> None:
    assert terminal.shown(text, coloured=True) == out


class Screen(io.TextIOWrapper):
    """A stream that shows colours."""

    def isatty(self) -> bool:
        return True


def test_a_stream_is_filtered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    raw = Screen(written, encoding="utf-8", write_through=True)
    monkeypatch.setattr(sys, "stdout", raw)
    monkeypatch.setattr(sys, "stderr", raw)
    for module, name in ((click, "style"), (click.termui, "style")):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(terminal, "set_formatter", lambda _style: None)
    terminal.protect_terminal()
    terminal.protect_terminal()
    print("a\x07", click.style("red", fg="red"), flush=True)
    assert written.getvalue() == b"a\\x07 \x1b[31mred\x1b[0m\n"


@given(st.text())
def test_a_page_of_a_migration_holds_no_control_character(text: str) -> None:
    assert (plain(text) + code(text)).isprintable()
