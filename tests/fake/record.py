"""Record what each machine was sent, requests included, at the end of a run on the @fake connector."""

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
from tests.fake.bare_host import KEY
from tests.fake.replies import single_command, with_request

env_files.KEY = KEY  # the key of the digests in the replies

_run = FakeConnector.run_shell_command


def _run_with_request(self: FakeConnector, command: Any, *args: Any, **arguments: Any) -> Any:
    """Append the request to the command: the connector matches commands alone, not their standard input."""
    sent = with_request(str(command.get_masked_value()), arguments.get("_stdin"))
    if entry_of(sent) == "machine.batch":
        self.executed_commands.append(sent)
        return True, CommandOutput([OutputLine("stdout", json.dumps({"replies": _replies(self, sent)}))])
    return _run(self, StringCommand(sent), *args, **arguments)


def _replies(connector: FakeConnector, batch: str) -> list[str | None]:
    """Return the reply to each request of a batch: the same as for a single request."""
    replies = connector.data["fake_responses"]
    acted, printed = replies.acted, []
    for each in json.loads(batch.rpartition("\n")[2])["request"]["requests"]:
        good, output = connector._lookup_response(single_command(each["entry"], each["request"]))
        printed.append(output.stdout if good else None)
    replies.acted = acted  # a request without a reply is no command
    return printed


_get = Replies.get


def _get_for_each_operation(self: Replies, name: str, question: Question) -> Any:
    """Forget replies for each operation, as each one finds its own part undone (tests/fake/replies.py)."""
    replies = state.inventory.get_host(name).connector.data["fake_responses"]
    if replies.acted and replies.operation != host.executing_op_hash:
        self.forget(state.inventory.get_host(name))
    return _get(self, name, question)


Replies.get = _get_for_each_operation  # type: ignore[method-assign]


FakeConnector.run_shell_command = _run_with_request  # type: ignore[method-assign]


def _write() -> None:
    sent = {host.name: getattr(host.connector, "executed_commands", None) for host in state.inventory}
    Path(os.environ["NANOCLAW_PODS_SENT"]).write_text(json.dumps(sent), encoding="utf-8")


atexit.register(_write)
