"""Writes down, at the end of a run on the @fake connector, what each machine was sent, requests included."""

import atexit
import json
import os
from pathlib import Path
from typing import Any

from pyinfra import state
from pyinfra.api.command import StringCommand
from pyinfra.connectors.fake import FakeConnector

from tasks.operations import env_files
from tests.fake.answers import with_request
from tests.fake.bare_host import KEY

env_files.KEY = KEY  # with which the machines' answers were made

_run = FakeConnector.run_shell_command


def _run_with_request(self: FakeConnector, command: Any, *args: Any, **arguments: Any) -> Any:
    """The connector looks at commands alone, and the request of a program is in its standard input."""
    sent = with_request(str(command.get_masked_value()), arguments.get("_stdin"))
    return _run(self, StringCommand(sent), *args, **arguments)


FakeConnector.run_shell_command = _run_with_request  # type: ignore[method-assign]


def _write() -> None:
    sent = {host.name: getattr(host.connector, "executed_commands", None) for host in state.inventory}
    Path(os.environ["NANOCLAW_PODS_SENT"]).write_text(json.dumps(sent), encoding="utf-8")


atexit.register(_write)
