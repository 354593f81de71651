"""Ranges of Node's versions: what is accepted is what npm's own semver accepts."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.model.versions.node_range import accepts

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
NUMBERS = ("0.0.0", "0.0.3", "0.0.4", "0.3.0", "0.3.9", "0.4.0", "1.0.0", "1.2.0", "1.2.9", "1.3.0", "2.0.0", "2.1.0")
ACCEPTED: list[tuple[str, tuple[str, ...]]] = [
    ("", NUMBERS),
    ("*", NUMBERS),
    ("X", NUMBERS),
    ("1", NUMBERS[6:10]),
    ("1.x", NUMBERS[6:10]),
    ("1.2.*", NUMBERS[7:9]),
    ("= 1.2.0", NUMBERS[7:8]),
    (">=1.2.9-rc.1 <2.0.0-0", NUMBERS[8:10]),
    ("^1.2.9-rc.1", NUMBERS[8:10]),
    ("~1.2.9-rc.1+b.1", NUMBERS[8:9]),
    ("1.2.9-rc.1 - 2.0", NUMBERS[8:11]),
    ("1.2.9+build", NUMBERS[8:9]),
    (">1", NUMBERS[10:]),
    (">1.2", NUMBERS[9:]),
    (">1.2.0", NUMBERS[8:]),
    (">x", ()),
    (">=x", NUMBERS),
    (">=1.2.x", NUMBERS[7:]),
    ("<1", NUMBERS[:6]),
    ("<1.2.9", NUMBERS[:8]),
    ("<x", ()),
    ("<=1", NUMBERS[:10]),
    ("<=1.2", NUMBERS[:9]),
    ("<=1.2.0", NUMBERS[:8]),
    ("~0.3", NUMBERS[3:5]),
    ("~0.3.1", NUMBERS[4:5]),
    ("~1", NUMBERS[6:10]),
    ("~1.x", NUMBERS[6:10]),
    ("~>1.2", NUMBERS[7:9]),
    ("~x", NUMBERS),
    ("~0", NUMBERS[:6]),
    ("~0.0", NUMBERS[:3]),
    ("^0.0.0", NUMBERS[:1]),
    ("^1.0.0", NUMBERS[6:10]),
    ("^x", NUMBERS),
    ("^0", NUMBERS[:6]),
    ("^0.x", NUMBERS[:6]),
    ("^0.0", NUMBERS[:3]),
    ("^0.0.x", NUMBERS[:3]),
    ("^0.0.3", NUMBERS[1:2]),
    ("^0.3", NUMBERS[3:5]),
    ("^0.3.1", NUMBERS[4:5]),
    ("^1", NUMBERS[6:10]),
    ("^1.2.x", NUMBERS[7:10]),
    ("^1.2.1", NUMBERS[8:10]),
    ("1 - 2", NUMBERS[6:]),
    ("0.3 - 1.2", NUMBERS[3:9]),
    ("0.3.1 - 1.2.0", NUMBERS[4:8]),
    ("1 - x", NUMBERS[6:]),
    ("x - 0.3", NUMBERS[:5]),
    (">=0.3 <1", NUMBERS[3:6]),
    ("  >=0.3   <1  ", NUMBERS[3:6]),
    ("<0.3 >1", ()),
    ("0.3.0||2", (NUMBERS[3], *NUMBERS[10:])),
    ("0.3.0 || || 2", NUMBERS),
]
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
    for ranges, versions in ((RANGES, VERSIONS), ([one for one, _accepted in ACCEPTED], NUMBERS)):
        argv = ["node", "-e", CHECK, str(semver()), json.dumps([ranges, versions])]
        output = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
        assert [[accepts(one, version) for version in versions] for one in ranges] == output


@pytest.mark.parametrize(
    ("one", "version", "accepted"),
    [(">=22", "v20.19.2", False), (">=20 <25", "20.19.2", True), ("^20.19 || >=22.14", "22.13.9", False)],
)
def test_a_range_is_read(one: str, version: str, accepted: bool) -> None:
    assert accepts(one, version) is accepted


@pytest.mark.parametrize("one", ["lts/*", ">=22 and more", ">=", "22.1.2.3", ">=22; echo", "9" * 40])
def test_what_cannot_be_read_is_unknown(one: str) -> None:
    assert accepts(one, "22.14.0") is None


def test_a_version_that_cannot_be_read_is_unknown() -> None:
    assert accepts(">=22", "twenty") is None


@pytest.mark.parametrize(("one", "accepted"), ACCEPTED)
def test_a_range_accepts_these_versions_and_no_others(one: str, accepted: tuple[str, ...]) -> None:
    assert tuple(number for number in NUMBERS if accepts(one, number)) == accepted
    assert tuple(number for number in NUMBERS if accepts(one, f"v{number}")) == accepted


UNREAD = ("1 || lts", ">=1,<2", "1-2", ">1<2", "1 -2", "a - b", "1.2.3.4 || 1", "1.x.3", "x.1", "1.0-rc", "1.0.0-rc_1")


@pytest.mark.parametrize("one", [*UNREAD, "1.0.0-rc.1", ">1.0.0-rc.1", "<=1.0.0-rc.1", "1 - 1.0.0-rc.1"])
def test_one_part_that_cannot_be_read_makes_the_whole_unknown(one: str) -> None:
    assert accepts(one, "1.0.0") is None


@pytest.mark.parametrize("version", ["", "1", "1.2", "x1.2.3", "1.2.x", "1" * 10 + ".0.0"])
def test_a_version_has_three_numbers(version: str) -> None:
    assert accepts("*", version) is None
