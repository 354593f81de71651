"""A boolean of nfs.conf(5), as nfs-utils reads it (conf_get_bool of its support/nfs/conffile.c)."""

from __future__ import annotations

import pytest

from files.pods.nfs.server import yes


@pytest.mark.parametrize("text", ["1", "t", "true", "y", "yes", "on", "YES", "On", "T"])
def test_true_in_each_form(text: str) -> None:
    assert yes(text) is True


@pytest.mark.parametrize("text", ["0", "f", "false", "n", "no", "off", "NO", "Off", "F"])
def test_false_in_each_form(text: str) -> None:
    assert yes(text) is False


@pytest.mark.parametrize("text", ["", None, "2", "yess", "enabled", "-1"])
def test_anything_else_is_unknown(text: str | None) -> None:
    assert yes(text) is None
