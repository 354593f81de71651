"""Working as the host user: what is written back, and whose errors count."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from files.programs.host_user import flush, forget_errors


def test_an_error_of_a_flush_is_an_error_and_those_of_before_are_let_go_of(tmp_path: Path) -> None:
    """A path that is not there stands for a file system that has an error to tell."""
    forget_errors(str(tmp_path / "none"))
    with pytest.raises(subprocess.CalledProcessError):
        flush(str(tmp_path / "none"))
    flush(str(tmp_path))
