"""Errors of the lab, each with the way out in its text."""

from __future__ import annotations


class LabError(Exception):
    """An error that the user can act on; its text says how."""


class CommandFailedError(LabError):
    """A command on a machine ended with an unexpected status."""

    def __init__(self, machine: str, command: str, returncode: int, stdout: str, stderr: str) -> None:
        super().__init__(f"{machine}: `{command}` ended with {returncode}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr


class CommandTimeoutError(LabError):
    """A command or a wait took too long."""
