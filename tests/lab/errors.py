"""What goes wrong in the lab, said so that the reader knows the way out."""

from __future__ import annotations


class LabError(Exception):
    """Something the person at the terminal can act on: the message says how."""


class CommandFailedError(LabError):
    """A command in a machine ended with a status that the caller did not accept."""

    def __init__(self, machine: str, command: str, returncode: int, stdout: str, stderr: str) -> None:
        super().__init__(f"{machine}: `{command}` ended with {returncode}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr


class CommandTimeoutError(LabError):
    """A command, or a wait, took longer than the caller allowed."""
