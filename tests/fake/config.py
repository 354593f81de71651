"""pyinfra's config for runs on the @fake connector: the project's own, and a record of what each machine was sent."""

import runpy
from pathlib import Path

import tests.fake.record  # noqa: F401

runpy.run_path(str(Path(__file__).resolve().parents[2] / "config.py"))
