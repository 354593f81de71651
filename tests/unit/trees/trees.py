"""Whom trees are given to in tests."""

from __future__ import annotations

import os

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which only root may")

A = 1000
"""The agent's uid and gid."""
