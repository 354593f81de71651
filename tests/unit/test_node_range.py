"""Ranges of Node's versions: what is accepted is what npm's own semver accepts."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.model.node_range import accepts

RANGES = (
    *(">=20", ">=22", ">=20 <25", ">=22.14.0", "^20.19.0 || >=22.12.0", "~22.14", "~22", "22.x", "22", "*", "x"),
    *("22.14.3", "=22.14.3", "v22.14.3", "20 - 22", "20.1 - 22.14.2", ">22", ">22.14", "<=22", "<=22.14.2", "<22.14"),
    *("^22", "^22.14", "^0.3", "^0.0.3", "^0", ">= 22.14 < 25", "20 || 22 || 24", ">=18 <20 || >=22.14", "18.x||20.x"),
)
VERSIONS = (
    "0.0.3",
    "0.3.9",
    "18.20.4",
    "20.19.2",
    "22.0.0",
    "22.13.1",
    "22.14.0",
    "22.14.3",
    "23.0.0",
    "24.1.0",
    "26.0.0",
)
CHECK = "const s = require(process.argv[1]); const [r, v] = JSON.parse(process.argv[2]);"
CHECK += "console.log(JSON.stringify(r.map((a) => v.map((b) => s.satisfies(b, a)))))"


def semver() -> Path | None:
    """The semver of this machine's npm."""
    npm = shutil.which("npm")
    places = [Path("/usr/share/nodejs/semver"), Path("/usr/lib/node_modules/npm/node_modules/semver")]
    places += [Path(npm).resolve().parents[1] / "node_modules/semver"] if npm else []
    return next((place for place in places if place.exists()), None)


@pytest.mark.skipif(semver() is None or shutil.which("node") is None, reason="not on this machine: node, npm's semver")
def test_ranges_are_those_of_npm() -> None:
    words = ["node", "-e", CHECK, str(semver()), json.dumps([RANGES, VERSIONS])]
    said = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    ours = [[accepts(one, version) for version in VERSIONS] for one in RANGES]
    assert ours == said


@pytest.mark.parametrize(
    ("one", "version", "wanted"),
    [(">=22", "v20.19.2", False), (">=20 <25", "20.19.2", True), ("^20.19 || >=22.14", "22.13.9", False)],
)
def test_a_range_is_read(one: str, version: str, wanted: bool) -> None:
    assert accepts(one, version) is wanted


@pytest.mark.parametrize("one", ["lts/*", ">=22 and more", ">=", "22.1.2.3", ">=22; echo", "9" * 40])
def test_what_cannot_be_read_is_unknown(one: str) -> None:
    assert accepts(one, "22.14.0") is None


def test_a_version_that_cannot_be_read_is_unknown() -> None:
    assert accepts(">=22", "twenty") is None
