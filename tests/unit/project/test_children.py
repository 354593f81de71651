"""How programs start children and read files: each call states what a default leaves to the machine, or without end."""

from __future__ import annotations

import ast
import codecs
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.project.test_conformance import PROGRAMS, PROJECT, TASKS, calls, named, tree

STARTS = {"subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_call", "subprocess.check_output"}
OTHER_STARTS = {
    "os.system",
    "os.popen",
    "os.spawnv",
    "os.spawnvp",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
}
SELF = "run_with_deadline"
"""What bounds a whole program: it and its children end after the seconds stated (common/run_as_host_user.py)."""
BOUNDED_BY_THEIR_PARENT = {"files/pods/transition/upstream_step.py"}
"""Programs that the runner of a migration starts, and kills with their children at their step's deadline."""


def children(path: Path) -> list[ast.Call]:
    return [call for call in calls(tree(path)) if ast.unparse(call.func) in STARTS]


def keywords(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


def bounded_as_a_whole(path: Path) -> bool:
    return any(ast.unparse(call.func) == SELF for call in calls(tree(path))) or named(path) in BOUNDED_BY_THEIR_PARENT


def inherits_input(call: ast.Call) -> bool:
    """Whether a child reads the standard input of its program, which is the request, a payload, or never ends."""
    return not {"stdin", "input"} & set(keywords(call))


def is_endless(call: ast.Call) -> bool:
    """Whether a call waits for a child as long as that likes."""
    name = ast.unparse(call.func)
    if name == "run_command":
        return keywords(call).get("timeout") == "None"
    waits = name.endswith(".communicate") or (name in STARTS and name != "subprocess.Popen")
    return waits and "timeout" not in keywords(call)


def may_not_decode(call: ast.Call) -> bool:
    """Whether a child's output is text in the machine's encoding, or ends the program where it is no text."""
    arguments = keywords(call)
    return bool({"text", "universal_newlines"} & set(arguments)) or ("encoding" in arguments) != ("errors" in arguments)


def lacks_an_encoding(call: ast.Call) -> bool:
    """Whether a text file is read or written in the encoding of whoever runs the program."""
    name = ast.unparse(call.func)
    if name in ("open", "os.fdopen"):
        mode = ast.unparse(call.args[1]) if len(call.args) > 1 else keywords(call).get("mode", "'r'")
        return "b" not in mode and "encoding" not in keywords(call)
    return name.endswith((".read_text", ".write_text")) and "encoding" not in keywords(call)


def names_no_codec(call: ast.Call) -> bool:
    """Whether a call names an encoding, or what to do with errors of one, that Python does not have: seen when used."""
    arguments = [word.value for word in call.keywords if word.arg == "errors"]
    encodings = [word.value for word in call.keywords if word.arg == "encoding"]
    if ast.unparse(call.func).endswith((".encode", ".decode")):
        encodings, arguments = encodings + call.args[:1], arguments + call.args[1:]
    try:
        for value in encodings:
            codecs.lookup(ast.literal_eval(value))
        for value in arguments:
            codecs.lookup_error(ast.literal_eval(value))
    except LookupError:
        return True
    except ValueError:  # a variable
        return False
    return False


def lines(wrong: Iterator[ast.Call]) -> list[str]:
    return [f"line {call.lineno}: {ast.unparse(call)}" for call in wrong]


@pytest.mark.parametrize("path", PROGRAMS, ids=named)
def test_child_states_its_input(path: Path) -> None:
    """Write `stdin=subprocess.DEVNULL`, or `input=`: a child would read what its program reads, or wait."""
    assert not lines(call for call in children(path) if inherits_input(call))


@pytest.mark.parametrize("path", PROGRAMS, ids=named)
def test_wait_for_a_child_has_an_end(path: Path) -> None:
    """Write `timeout=`; or bound the whole program (SELF), where a child goes on in its own process group."""
    assert bounded_as_a_whole(path) or not lines(call for call in calls(tree(path)) if is_endless(call))


@pytest.mark.parametrize("path", PROGRAMS, ids=named)
def test_output_of_a_child_can_always_be_decoded(path: Path) -> None:
    """Write `encoding="utf-8", errors="replace"` in place of `text=True`: a name may be in any encoding."""
    assert not lines(call for call in children(path) if may_not_decode(call))


@pytest.mark.parametrize("path", [path for path in PROGRAMS if path.name != "run_command.py"], ids=named)
def test_text_of_a_child_comes_by_the_helper(path: Path) -> None:
    """Write `run_command(argv, timeout=…)`: it states input, encoding and error handler once."""
    runs = [call for call in children(path) if ast.unparse(call.func) == "subprocess.run"]
    assert not lines(call for call in runs if keywords(call).get("errors") == "'replace'")


@pytest.mark.parametrize("path", PROGRAMS, ids=named)
def test_child_is_started_by_argv_and_in_one_way(path: Path) -> None:
    """Use subprocess.run or Popen with a list: a shell would read names of files as commands."""
    assert not lines(
        call for call in calls(tree(path)) if ast.unparse(call.func) in OTHER_STARTS or "shell" in keywords(call)
    )


@pytest.mark.parametrize("path", [*PROGRAMS, *TASKS], ids=named)
def test_text_file_states_its_encoding(path: Path) -> None:
    """Write `encoding="utf-8"`: a controller or a machine in another locale would read other characters."""
    assert not lines(call for call in calls(tree(path)) if lacks_an_encoding(call))


@pytest.mark.parametrize("path", [*PROGRAMS, *TASKS], ids=named)
def test_encodings_and_error_handlers_exist(path: Path) -> None:
    """Write a name that codecs has: a handler is looked up only when the first byte does not decode."""
    assert not lines(call for call in calls(tree(path)) if names_no_codec(call))


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (inherits_input, "subprocess.run(a, stdin=b)", "subprocess.run(a, timeout=1)"),
        (inherits_input, "subprocess.run(a, input=b)", "subprocess.Popen(a)"),
        (is_endless, "subprocess.run(a, timeout=1)", "subprocess.run(a)"),
        (is_endless, "child.communicate(timeout=1)", "child.communicate(b)"),
        (is_endless, "run_command(a, timeout=1)", "run_command(a, timeout=None)"),
        (may_not_decode, "subprocess.run(a, encoding=b, errors=c)", "subprocess.run(a, encoding=b)"),
        (may_not_decode, "subprocess.run(a)", "subprocess.run(a, text=True)"),
        (lacks_an_encoding, "open(a, 'rb')", "open(a)"),
        (lacks_an_encoding, "open(a, mode='wb')", "open(a, 'w')"),
        (lacks_an_encoding, "os.fdopen(a, encoding=b)", "os.fdopen(a)"),
        (names_no_codec, "a.decode('utf-8', 'replace')", "a.decode('utf-8', 'substitute')"),
        (names_no_codec, "a.decode(errors='replace')", "a.decode(errors='substitute')"),
        (names_no_codec, "open(a, encoding='utf-8')", "open(a, encoding='utf-9')"),
        (lacks_an_encoding, "path.read_text(encoding=b)", "path.read_text()"),
    ],
)
def test_rules_tell_good_calls_from_bad_ones(rule: object, good: str, bad: str) -> None:
    assert callable(rule)
    (fine,), (wrong,) = calls(ast.parse(good)), calls(ast.parse(bad))
    assert not rule(fine)
    assert rule(wrong)


def test_exceptions_are_needed() -> None:
    """Take a file that bounds its children itself off the list."""
    assert all(any(is_endless(call) for call in calls(tree(PROJECT / path))) for path in BOUNDED_BY_THEIR_PARENT)


def test_rules_cover_the_children_of_programs() -> None:
    by_helper = [call for path in PROGRAMS for call in calls(tree(path)) if ast.unparse(call.func) == "run_command"]
    assert sum(len(children(path)) for path in PROGRAMS) + len(by_helper) > 40
