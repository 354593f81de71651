"""The commands of units, and the paths in them: each form in which an operator may have written them."""

from __future__ import annotations

from pathlib import Path

import pytest

from files.pods.common import unit_commands
from files.pods.common.unit_commands import MAX_TOKENS

HOME, HERE = "/home/andy", "/srv"


def start_of(*argv: str) -> str:
    """The property ExecStart as systemctl shows it."""
    return f"{{ path={argv[0]} ; argv[]={' '.join(argv)} ; ignore_errors=no ; start_time=[n/a] ; status=0/0 }}"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("~/claw", f"{HOME}/claw"),
        ("$HOME/claw", f"{HOME}/claw"),
        ("${HOME}/claw", f"{HOME}/claw"),
        ("%h/claw", f"{HOME}/claw"),
        ("cd ~/claw;", f"{HOME}/claw"),
        ("(cd /opt/claw&& node .)", "/opt/claw"),
        ("'/opt/claw'", "/opt/claw"),
        ("WHERE=/opt/claw", "/opt/claw"),
        ('"/opt/claw"|tee', "/opt/claw"),
        ("claw/dist", f"{HERE}/claw/dist"),
        ("../opt/./claw/", "/opt/claw"),
    ],
)
def test_path_is_read_in_each_form(text: str, path: str) -> None:
    assert path in list(unit_commands.paths_in(text, HERE, HOME))


def test_home_of_nobody_and_no_directory_lead_nowhere_else() -> None:
    assert list(unit_commands.paths_in("~/claw", HERE, None)) == ["/nonexistent/claw"]
    assert list(unit_commands.paths_in("claw", "", None)) == ["/claw"]


@pytest.mark.parametrize("text", ["# /opt/claw", "  ; /opt/claw", "-/opt/claw", "--root", "\0", "x" * 1024])
def test_comment_option_or_nonsense_is_no_path(text: str) -> None:
    assert list(unit_commands.paths_in(text, HERE, HOME)) == []


def test_search_for_paths_is_bounded() -> None:
    """Others write these texts."""
    paths = list(unit_commands.paths_in(" ".join(map(str, range(2 * MAX_TOKENS))), HERE, HOME))
    assert len(paths) == MAX_TOKENS and paths[-1] == f"{HERE}/{MAX_TOKENS - 1}"
    assert len(list(unit_commands.paths_in("x" * 1023, HERE, HOME))) == 1


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("/opt/claw", True),
        ("/opt/claw/dist/index.js", True),
        ("cd /opt/claw;node .", True),
        ("root=/opt/claw,x", True),
        ("/opt/claw-2/dist", False),
        ("/opt/clawed", False),
        ("/my/opt/claws", False),
        ("~/../../opt/claw/dist", True),
        ("", False),
    ],
)
def test_project_root_is_mentioned_by_its_path_or_one_below(text: str, mentions: bool) -> None:
    assert unit_commands.mentions_root(text, "/opt/claw", HERE, HOME) is mentions


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("cd '/srv/my claw' && node .", True),
        ("node /srv/my claw/dist/index.js", True),
        ("/srv/my claw", True),
        ("cd '/srv/my claws'", False),
        ("/srv/my", False),
    ],
)
def test_project_root_may_have_a_blank(text: str, mentions: bool) -> None:
    assert unit_commands.mentions_root(text, "/srv/my claw", HERE, HOME) is mentions


@pytest.mark.parametrize(
    ("setting", "directory"),
    [("~", HOME), ("/srv/a", "/srv/a"), ("!/srv/a", "/srv/a"), ("-/srv/a", "/srv/a"), ("", "")],
)
def test_working_directory_is_that_of_systemd(setting: str, directory: str) -> None:
    assert unit_commands.working_directory({"WorkingDirectory": setting}, HOME) == directory
    assert unit_commands.working_directory({"WorkingDirectory": "~"}, None) == "/"
    assert unit_commands.working_directory({}, HOME) == ""


@pytest.mark.parametrize(
    "unit",
    [
        {"WorkingDirectory": "ROOT"},
        {"RootDirectory": "PARENT", "WorkingDirectory": "/claw"},
        {"BindPaths": "ROOT:/app:rbind", "WorkingDirectory": "/app"},
        {"Environment": "WHERE=ROOT"},
        {"EnvironmentFiles": "PARENT/none (ignore_errors=yes)\nPARENT/env (ignore_errors=no)", "ExecStart": "$WHERE"},
    ],
)
def test_unit_runs_a_root_that_any_of_its_settings_names(unit: dict[str, str], tmp_path: Path) -> None:
    root = tmp_path / "claw"
    root.mkdir()
    (tmp_path / "env").write_text(f"WHERE={root}\n")
    shown = {key: text.replace("ROOT", str(root)).replace("PARENT", str(tmp_path)) for key, text in unit.items()}
    argv = ("/usr/bin/node", shown.pop("ExecStart", "") or "dist/index.js")
    assert unit_commands.may_run({**shown, "ExecStart": start_of(*argv)}, str(root), HOME)
    assert not unit_commands.may_run({**shown, "ExecStart": start_of("/usr/bin/restic", "$WHERE")}, str(root), HOME)
    assert not unit_commands.may_run({**shown, "ExecStart": start_of(*argv)}, str(tmp_path / "other"), HOME)


def test_file_of_variables_is_read_only_for_a_command_with_variables(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("WHERE=/srv/claw\n")
    unit = {"EnvironmentFiles": f"{tmp_path}/env (ignore_errors=no)", "ExecStart": start_of("/usr/bin/node", "x.js")}
    assert "claw" not in unit_commands.environment_text(unit)
    assert "WHERE=/srv/claw" in unit_commands.environment_text({**unit, "ExecStart": start_of("/usr/bin/node", "$X")})


@pytest.mark.parametrize(
    ("name", "text", "is_script"),
    [("run", "#!/bin/sh\nnode .\n", True), ("run.sh", "node .\n", True), ("run", "node .\n", False)],
)
def test_script_is_what_says_so_by_its_name_or_its_first_line(
    tmp_path: Path, name: str, text: str, is_script: bool
) -> None:
    (tmp_path / name).write_text(text)
    assert unit_commands.read_script(str(tmp_path / name)) == (text if is_script else "")
    shown = {"ExecStart": start_of("/bin/sh", f"./{name}"), "WorkingDirectory": str(tmp_path)}
    assert ("node ." in unit_commands.command_text(shown)) is is_script
    assert unit_commands.read_script(str(tmp_path)) == unit_commands.read_script(f"{tmp_path}/a\0b") == ""
    (tmp_path / "link").symlink_to(name)
    assert unit_commands.read_script(str(tmp_path / "link")) == (text if text.startswith("#!") else "")


def test_every_command_of_a_unit_is_read() -> None:
    shown = f"{start_of('/bin/one', 'a')}\n{start_of('/bin/two', 'b').replace('ignore_errors', 'flags')}"
    assert unit_commands.command_text({"ExecStart": shown}).splitlines()[:2] == ["/bin/one a", "/bin/two b"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("User=andy\n", "andy"),
        ("User=andy\nUser=eve\n", "eve"),
        ('Environment="HOME=/x"\nUser="andy"', "andy"),
        ("MyUser=andy\n", None),
        ("User=\n", None),
    ],
)
def test_last_value_of_a_setting_counts(text: str, value: str | None) -> None:
    assert unit_commands.last_setting(text, "User") == value
