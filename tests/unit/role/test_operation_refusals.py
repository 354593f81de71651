"""A refusal ends the run in its check phase, and later fails one machine alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra import logger
from pyinfra.api.command import FunctionCommand, StringCommand
from pyinfra.api.exceptions import OperationError

from tasks.command import run_program
from tasks.operations import base
from tasks.operations.base import Commands, lasting_operation, pods_operation
from tasks.replies import Replies


@pods_operation
def refused(error: Exception) -> Commands:
    """Sends something, then cannot go on."""
    yield StringCommand("true")
    raise error


ERRORS = [
    (OperationError("the disk is full"), "the disk is full"),
    (KeyError("x"), "a fault of the role itself: KeyError('x')"),
]


class Host:
    """A machine that keeps what is logged."""

    name = "oslo"
    groups: tuple[str, ...] = ()
    executing_op_hash = None

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log_styled(self, line: str, *, fg: str, log_func: Any) -> None:
        """Keep a line, which must be an error: in red, and in pyinfra's log of errors."""
        assert (fg, log_func) == ("red", logger.error)
        self.lines.append(line)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host()
    monkeypatch.setattr(base, "host", host)
    return host


def at(monkeypatch: pytest.MonkeyPatch, *, executing: bool) -> None:
    monkeypatch.setattr(base, "state", SimpleNamespace(is_executing=executing))
    known = Replies()
    monkeypatch.setattr(base, "replies", lambda: known)


@pytest.mark.parametrize(("error", "text"), ERRORS)
def test_a_refusal_in_the_check_phase_ends_the_run(
    host: Host, monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    at(monkeypatch, executing=False)
    commands = refused._inner(error)
    next(commands)
    with pytest.raises(OperationError) as raised:
        next(commands)
    assert str(raised.value) == f"{host.name}: {text}"
    assert raised.value.__cause__ is error and host.lines == []


@pytest.mark.parametrize(("error", "text"), ERRORS)
def test_a_refusal_in_mid_run_fails_its_machine_alone(
    host: Host, monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    at(monkeypatch, executing=True)
    _sent, failing = refused._inner(error)
    assert isinstance(failing, FunctionCommand)
    state: Any = SimpleNamespace()
    assert failing.function(state, host, *failing.args, **failing.kwargs) is False
    assert host.lines == [text]


@lasting_operation
def repeated(command: StringCommand | FunctionCommand) -> Commands:
    """Would do the same at every run."""
    yield command


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (StringCommand("chattr +i /pods"), "chattr +i /pods"),
        (StringCommand("x" * 80), "x" * 80),
        (StringCommand("x" * 79 + "yz"), "x" * 79 + "y"),
        (run_program("nfs.exports", {}), "nfs.exports"),
        (FunctionCommand(print, (), {}), "a step on the controller"),
    ],
)
def test_a_change_without_effect_names_the_beginning_of_what_would_come_again(
    host: Host, monkeypatch: pytest.MonkeyPatch, command: StringCommand | FunctionCommand, shown: str
) -> None:
    at(monkeypatch, executing=True)
    sent, failing = repeated._inner(command)
    assert sent is command and isinstance(failing, FunctionCommand)
    assert failing.args == (
        "The change has no effect: something else on the machine overrules it or undoes it. "
        f"it would do this again: {shown}",
    )
    at(monkeypatch, executing=False)
    assert list(repeated._inner(command)) == [command]
