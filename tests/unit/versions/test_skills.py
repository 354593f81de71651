"""The gateway and the channels of a version: known by its files, and what the role has applied is applied again."""

from __future__ import annotations

import pytest

from files.pods.source.channel_undo import begin_channel
from files.pods.source.git_worktree import Tree
from files.pods.source.protocol import Needs
from files.pods.source.skill_documents import AppliedSkills, SkillRecord
from files.pods.source.skill_record import finish_skills, local_changes, written_files
from tasks.model.versions.skills import skill_problems
from tests.unit.source.setup_of_skills import files_of_setup
from tests.unit.source.source_host import OLD, Host
from tests.unit.source.test_checkout import plan

TAG = "v2.4.1"
INSTALLED = "src/gateway-providers/installed.ts"
SERVER = "http://10.0.0.9:10254"
NEEDS = Needs("2.4.1", None, None, False, True, True, ("onecli", "slack"))


def needs_of(host: Host, ref: str, *, peek: bool = False) -> Needs:
    needs = host.look(ref, peek=peek).version.needs
    assert needs
    return needs


def record_gateway(host: Host) -> None:
    """Write what a gateway's skill writes, and the record of it."""
    tree = Tree(str(host.root))
    begin_channel(tree, "skills")
    before = local_changes(tree)
    (host.root / INSTALLED).write_text("import './onecli.js';\n")
    files = written_files(tree, before)
    finish_skills(tree, SkillRecord(host.git("rev-parse", "HEAD"), "onecli", SERVER, [], files))


@pytest.mark.parametrize("peek", [True, False])
def test_skills_of_a_version_are_known_before_it_is_checked_out(host: Host, peek: bool) -> None:
    host.release(TAG, files_of_setup("driver", "script"))
    if not peek:
        host.check_out(TAG)
    assert set(needs_of(host, TAG, peek=peek).skills) >= {"onecli", "telegram", "slack", "discord"}


def test_skills_without_an_engine_do_not_count(host: Host) -> None:
    """Earlier versions have such documents too, for a coding agent to read."""
    host.release("v2.0.99", {".claude/skills/add-slack/SKILL.md": "", "setup/install-docker.sh": ""})
    skills = needs_of(host, "v2.0.99", peek=True).skills
    assert "slack" not in skills and "docker" not in skills and "telegram" in skills


def test_gateway_that_the_role_has_applied_is_applied_again_after_a_move(host: Host) -> None:
    host.release(TAG, files_of_setup("step"))
    host.check_out(TAG)
    record_gateway(host)
    assert needs_of(host, TAG).gateway, "only the record makes it a gateway"
    state = host.look(TAG).version.applied
    assert state == AppliedSkills(host.git("rev-parse", "HEAD"), "onecli", SERVER, [], True)
    host.release("v2.4.2", {"README.md": "more\n"})
    host.check_out("v2.4.2")
    assert needs_of(host, "v2.4.2").gateway and host.look("v2.4.2").version.applied is None


def test_gateway_of_the_operator_is_one(host: Host) -> None:
    host.release(TAG, files_of_setup("step"))
    host.check_out(TAG)
    (host.root / INSTALLED).write_text("import './onecli.js';\n")
    assert not needs_of(host, TAG).gateway


def test_what_setup_has_committed_is_named_before_a_move(host: Host) -> None:
    host.release(TAG, files_of_setup("step"))
    host.check_out(TAG)
    (host.root / INSTALLED).write_text("import './onecli.js';\n")
    host.git("-c", "user.name=a", "-c", "user.email=a@lab.invalid", "commit", "-qam", "setup: apply add-onecli")
    assert host.look(OLD).version.setup == ("add-onecli",)
    assert host.look(TAG).version.setup == (), "nothing moves"


@pytest.mark.parametrize(
    ("data", "needs", "texts"),
    [
        ({"nanoclaw_channels": ["slack"], "nanoclaw_gateway": "onecli", "nanoclaw_gateway_server": SERVER}, NEEDS, []),
        (
            {"nanoclaw_gateway": "onecli", "nanoclaw_gateway_server": SERVER},
            Needs("2.4.1", None, None, False, True, True),
            [
                "v2 (2.4.1) cannot apply the gateway onecli by itself; what it can apply: none. Set nanoclaw_ref to "
                "another version"
            ],
        ),
        (
            {"nanoclaw_channels": ["slack"]},
            Needs("2.1.0", None, None, False, False, True),
            [
                "v2 (2.1.0) cannot install the channels slack by itself; what it can apply: none. "
                "Correct nanoclaw_channels"
            ],
        ),
    ],
)
def test_version_without_the_skills_of_a_host_is_refused(
    data: dict[str, object], needs: Needs, texts: list[str]
) -> None:
    assert skill_problems(plan(**data), needs) == texts
