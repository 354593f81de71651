"""The locks pin what the `.in` files name, once for each Python that the role supports, with digests.

Only the package index knows on which Pythons each release runs. The tests have no network. They check the markers, that
uv computed them for the lowest Python, and the metadata of the releases that are installed here.
"""

from __future__ import annotations

import ast
import re
import sys
from importlib import metadata

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests import newest
from tests.docs import PROJECT

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
LOCKS = {"requirements.lock": newest.INPUTS[:1], "requirements-test.lock": newest.INPUTS}
"""Each lock with the files that name what it pins."""

each_lock = pytest.mark.parametrize("lock", LOCKS)
each_python = pytest.mark.parametrize("python", PYTHONS)


def text(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def named(name: str) -> list[Requirement]:
    """The requirements of a `.in` file."""
    return [Requirement(line) for line in text(name).splitlines() if line and not line.startswith(("#", "-"))]


def entries(lock: str) -> list[tuple[Requirement, list[str]]]:
    """The pins of the text of a lock, each with its digests."""
    joined = re.sub(r" *\\\n *", " ", re.sub(r"^ *#.*\n", "", lock, flags=re.MULTILINE))
    parts = [re.split(r" --hash=", line) for line in joined.splitlines()]
    return [(Requirement(pin), digests) for pin, *digests in parts]


def holds(pin: Requirement, python: str) -> bool:
    """Whether a pin counts for CPython of this version on this system."""
    environment = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    return pin.marker is None or pin.marker.evaluate({key: str(value) for key, value in environment.items()})


def release(pin: Requirement) -> tuple[str, str]:
    """The name and the version of a pin."""
    return canonicalize_name(pin.name), str(pin.specifier).removeprefix("==")


def pins(lock: str, python: str) -> list[tuple[str, str]]:
    """Each name that a lock pins for this Python, with its version; a name may come twice."""
    return sorted(release(pin) for pin, _ in entries(text(lock)) if holds(pin, python))


def runs_on() -> dict[tuple[str, str], str]:
    """The Pythons of each release that is installed here, as its metadata state them."""
    return {
        (canonicalize_name(one.name), one.version): ",".join(one.metadata.get_all("Requires-Python") or [])
        for one in metadata.distributions()
    }


def too_new(lock: str, known: dict[tuple[str, str], str]) -> list[str]:
    """The pins of the text of a lock that count for a Python on which the release is known not to run."""
    return [
        f"{pin} on Python {python}"
        for pin, _ in entries(lock)
        for python in PYTHONS
        if holds(pin, python) and not SpecifierSet(known.get(release(pin), "")).contains(f"{python}.0")
    ]


@each_lock
def test_every_pin_is_one_version_with_digests(lock: str) -> None:
    assert entries(text(lock))
    for pin, digests in entries(text(lock)):
        assert re.fullmatch(r"==[^,*]+", str(pin.specifier)), pin
        assert digests and all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in digests), pin


@each_lock
@each_python
def test_every_requirement_has_one_pin_that_fits(lock: str, python: str) -> None:
    pinned = pins(lock, python)
    versions = dict(pinned)
    assert len(versions) == len(pinned)
    for requirement in [requirement for name in LOCKS[lock] for requirement in named(name)]:
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


@each_python
def test_tests_run_with_the_versions_of_operators(python: str) -> None:
    assert set(pins("requirements.lock", python)) < set(pins("requirements-test.lock", python))


@each_lock
def test_lock_is_written_for_the_lowest_python(lock: str) -> None:
    assert f" --universal --python-version {PYTHONS[0]} " in text(lock).splitlines()[1]
    assert f'requires-python = ">={PYTHONS[0]}"' in text("pyproject.toml")


@each_lock
def test_no_pin_counts_for_a_python_on_which_its_release_does_not_run(lock: str) -> None:
    assert too_new(text(lock), runs_on()) == []


def test_release_that_needs_a_newer_python_is_noticed() -> None:
    known = {("mypy", "9.1"): ">=3.11"}
    assert too_new("mypy==9.1 \\\n    --hash=sha256:0\n", known) == ["mypy==9.1 on Python 3.10"]
    assert too_new("mypy==9.1 ; python_full_version >= '3.11' \\\n    --hash=sha256:0\n", known) == []


@each_lock
def test_lock_names_no_place_to_download_from(lock: str) -> None:
    assert not re.search(r"://|--(?:index-url|extra-index-url|find-links|trusted-host)", text(lock))


def test_role_imports_only_what_operators_install() -> None:
    """Its own rooms, Python's library, and packages of requirements.lock."""
    files = [PROJECT / "deploy.py", PROJECT / "config.py", *(PROJECT / "tasks").rglob("*.py")]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    others = {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"tasks", "files"}
    operators = {name for python in PYTHONS for name, _ in pins("requirements.lock", python)}
    installed = [one for one in metadata.distributions() if canonicalize_name(one.name) in operators]
    pinned = {file.parts[0].removesuffix(".py") for one in installed for file in one.files or []}
    assert "pyinfra" in others
    assert others - pinned == set()


def test_project_depends_on_what_operators_install() -> None:
    listed = re.search(r"^dependencies = \[(.*)\]$", text("pyproject.toml"), re.MULTILINE)
    assert listed and [Requirement(one) for one in re.findall(r'"([^"]+)"', listed[1])] == named("requirements.in")
