"""What the documents say is what the code does, as far as a machine can tell."""

from __future__ import annotations

import re
import runpy
from typing import Any

import pytest

from tasks.model.fleet.checks import PREFIXES
from tasks.model.fleet.plan import Machine
from tasks.model.fleet.plan_fleet import plan_fleet
from tasks.model.fleet.settings import SETTINGS
from tests import docs

TEXT = docs.README.read_text(encoding="utf-8")
CODE = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)


def test_group_data_all_is_what_make_docs_writes() -> None:
    assert docs.GROUP_DATA.read_text(encoding="utf-8") == docs.group_data(), "run make docs"


def test_the_readmes_settings_are_what_make_docs_writes() -> None:
    assert docs.readme(TEXT) == TEXT, "run make docs"


def test_group_data_all_states_every_setting_with_its_default_and_nothing_else() -> None:
    stated = {key: value for key, value in runpy.run_path(str(docs.GROUP_DATA)).items() if not key.startswith("__")}
    assert stated == {name: docs.default_of(name) for name in SETTINGS}


def test_the_defaults_that_pyinfra_hands_to_every_machine_are_accepted() -> None:
    defaults: dict[str, Any] = {name: docs.default_of(name) for name in SETTINGS}
    machines = [("nfs_servers", "10.0.0.10"), ("nanoclaw_hosts", "10.0.0.11")]
    plan_fleet([Machine(group, (group, "inventory"), {**defaults, "ssh_hostname": at}) for group, at in machines])


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_one_line_of_description(name: str) -> None:
    text = docs.description_of(name)
    assert len(f"# {text}") <= 120 and "\n" not in text and not text.endswith(".")


def test_the_readmes_fleet_is_accepted() -> None:
    (example,) = [code for language, code in CODE if language == "python"]
    assert len(example.strip().splitlines()) <= 12
    groups: dict[str, Any] = {}
    exec(example, groups)  # the README's own text
    names = {"nfs_servers", "nanoclaw_hosts"} & set(groups)
    fleet = plan_fleet([Machine(name, (group,), data) for group in names for name, data in groups[group]])
    assert set(groups["canary"]) <= set(fleet.hosts)
    assert fleet.hosts["legacy"].root_on_pods and not fleet.hosts["oslo"].root_on_pods


def test_the_readme_names_settings_targets_and_files_that_exist() -> None:
    words = set(re.findall(rf"`\"?((?:{'|'.join(PREFIXES)})[a-z_0-9]+)", TEXT))
    assert words - {"nfs_servers", "nanoclaw_hosts", "nanoclaw_pods"} <= set(SETTINGS) | {"nfs4_disable_idmapping"}
    makefile = (docs.PROJECT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z.][a-z/.-]*)", "\n".join([*(code for _, code in CODE), *_inline()])):
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target
    for path in re.findall(r"`((?:tasks|tests|files|group_data)/[\w/.*]+)`", TEXT):
        fleet_specific = path in ("group_data/nanoclaw_hosts.py", "group_data/nfs_servers.py")
        assert fleet_specific or list(docs.PROJECT.glob(path.rstrip("/"))), path


def test_the_readme_names_files_on_machines_that_the_code_writes() -> None:
    section = TEXT.partition("## What it changes")[2].partition("\n## ")[0]
    ours = [path for path in re.findall(r"`(/[\w/.-]+)`", section) if "nanoclaw-pods" in path]
    sources = [path.read_text(encoding="utf-8") for path in (docs.PROJECT / "tasks").rglob("*.py")]
    assert ours
    for path in ours:
        assert any(path.rstrip("/") in source for source in sources), path


def test_links_within_the_project_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", TEXT):
        assert (docs.PROJECT / target).exists(), target


def test_lines_of_prose_are_not_long() -> None:
    for path in (docs.README, docs.PROJECT / "CHANGELOG.md"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if len(line) > 130 and not line.startswith("|")] == []


def test_the_changelog_is_kept_for_this_version() -> None:
    project = (docs.PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert version
    assert f"## [{version[1]}]" in (docs.PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")


def _inline() -> list[str]:
    return re.findall(r"`([^`\n]+)`", TEXT)
