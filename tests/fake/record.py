"""Writes down, at the end of a run on the @fake connector, what each machine was sent."""

import atexit
import json
import os
from pathlib import Path

from pyinfra import state

from tasks.operations import env_files
from tests.fake.bare_host import KEY

env_files.KEY = KEY  # with which the machines' answers were made


def _write() -> None:
    sent = {host.name: getattr(host.connector, "executed_commands", None) for host in state.inventory}
    Path(os.environ["NANOCLAW_PODS_SENT"]).write_text(json.dumps(sent), encoding="utf-8")


atexit.register(_write)
