"""Writes down, at the end of a run on the @fake connector, what each machine was sent, requests included."""

import atexit
import json
import os
from pathlib import Path
from typing import Any

from pyinfra import host, state
from pyinfra.api.command import StringCommand
from pyinfra.connectors.fake import FakeConnector
from pyinfra.connectors.util import CommandOutput, OutputLine

from tasks.bundle import entry_of
from tasks.facts import Question
from tasks.operations import env_files
from tasks.replies import Replies
from tests.fake.answers import asked_alone, with_request
from tests.fake.bare_host import KEY

env_files.KEY = KEY  # with which the machines' answers were made

_run = FakeConnector.run_shell_command


def _run_with_request(self: FakeConnector, command: Any, *args: Any, **arguments: Any) -> Any:
    """The connector looks at commands alone, and the request of a program is in its standard input."""
    sent = with_request(str(command.get_masked_value()), arguments.get("_stdin"))
    if entry_of(sent) == "machine.look":
        self.executed_commands.append(sent)
        return True, CommandOutput([OutputLine("stdout", json.dumps({"replies": _replies(self, sent)}))])
    return _run(self, StringCommand(sent), *args, **arguments)


def _replies(connector: FakeConnector, look: str) -> list[str | None]:
    """What the machine answers to each question of a look, as it does to one that is asked alone."""
    answers = connector.data["fake_responses"]
    acted, printed = answers.acted, []
    for each in json.loads(look.rpartition("\n")[2])["request"]["questions"]:
        good, output = connector._lookup_response(asked_alone(each["entry"], each["request"]))
        printed.append(output.stdout if good else None)
    answers.acted = acted  # a question without an answer is no command
    return printed


_get = Replies.get


def _get_for_each_operation(self: Replies, name: str, question: Question) -> Any:
    """Each operation finds its own part undone (tests/fake/answers.py): the machine is another one for it."""
    answers = state.inventory.get_host(name).connector.data["fake_responses"]
    if answers.acted and answers.operation != host.executing_op_hash:
        self.forget(state.inventory.get_host(name))
    return _get(self, name, question)


Replies.get = _get_for_each_operation  # type: ignore[method-assign]


FakeConnector.run_shell_command = _run_with_request  # type: ignore[method-assign]


def _write() -> None:
    sent = {host.name: getattr(host.connector, "executed_commands", None) for host in state.inventory}
    Path(os.environ["NANOCLAW_PODS_SENT"]).write_text(json.dumps(sent), encoding="utf-8")


atexit.register(_write)
