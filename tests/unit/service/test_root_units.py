"""systemd describes its units, in every manager: drop-ins, quotes, specifiers, templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.service.managers import NODE, SERVES, Managed, needs_managers

SYSTEM, LOCAL, GLOBAL = "/etc/systemd/system", "/usr/local/lib/systemd/system", "/etc/systemd/user"
USER = ".config/systemd/user"
RUN = f"ExecStart={NODE} dist/index.js"
ANDY, EVE, CORP = 2001, 2002, 2003
USERS = {"andy": (ANDY, "/home/andy"), "eve": (EVE, "/home/eve")}


def service(*lines: str) -> str:
    return "\n".join(["[Service]", *lines, ""])


SYSTEM_UNITS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    # its name, and with /srv/NAME as the project root: files, and what is seen
    "plain": ({f"{SYSTEM}/plain.service": service("WorkingDirectory=/srv/plain", RUN)}, {"uid": 0, "home": None}),
    "drop-in": (
        {
            f"{SYSTEM}/drop-in.service": service("WorkingDirectory=/srv/drop-in", RUN),
            f"{SYSTEM}/drop-in.service.d/10-home.conf": service("Environment=HOME=/srv/elsewhere", "User=andy"),
        },
        {"uid": ANDY, "home": "/srv/elsewhere"},
    ),
    "later": (
        {
            f"{SYSTEM}/later.service": service(
                "WorkingDirectory=/srv/later", RUN, "Environment=HOME=/first", "User=eve"
            ),
            f"{SYSTEM}/later.service.d/a.conf": service("Environment=HOME=/second"),
            f"{SYSTEM}/later.service.d/b.conf": service("User=2001"),
        },
        {"uid": ANDY, "home": "/second"},
    ),
    "second-word": (
        {
            f"{SYSTEM}/second-word.service": service(
                "WorkingDirectory=/srv/second-word", RUN, "Environment=A=b HOME=/srv/h C=d", "User=andy"
            )
        },
        {"home": "/srv/h"},
    ),
    "quotes": (
        {
            f"{SYSTEM}/quotes.service": service(
                "WorkingDirectory=/srv/quotes", RUN, "Environment='A=b c' \"HOME=/srv/a b\""
            )
        },
        {"home": "/srv/a b"},
    ),
    "reset": (
        {
            f"{SYSTEM}/reset.service": service("WorkingDirectory=/srv/reset", RUN, "Environment=HOME=/gone"),
            f"{SYSTEM}/reset.service.d/a.conf": service("Environment="),
        },
        {"home": None},
    ),
    "unset": (
        {
            f"{SYSTEM}/unset.service": service(
                "WorkingDirectory=/srv/unset", RUN, "Environment=HOME=/gone", "UnsetEnvironment=HOME"
            )
        },
        {"home": None},
    ),
    "env-file": (
        {
            f"{SYSTEM}/env-file.service": service("WorkingDirectory=/srv/env-file", RUN, "EnvironmentFile=-/srv/env"),
            "/srv/env": "A=b\nHOME='/srv/h'\n",
        },
        {"doubt": "EnvironmentFile=/srv/env may set HOME"},
    ),
    "no-env-file": (
        {
            f"{SYSTEM}/no-env-file.service": service(
                "WorkingDirectory=/srv/no-env-file", RUN, "EnvironmentFile=-/srv/none"
            )
        },
        {"doubt": None},
    ),
    "specifier": (
        {f"{SYSTEM}/specifier.service": service("WorkingDirectory=/srv/%N", RUN, "Environment=HOME=/srv/%p-home")},
        {"home": "/srv/specifier-home"},
    ),
    "template": (
        {f"{SYSTEM}/claw@.service": service("WorkingDirectory=/srv/%i", RUN, "Environment=HOME=/h/%i")},
        {"name": "claw@template.service", "home": "/h/template", "active": "active"},
    ),
    "local": (
        {f"{LOCAL}/local.service": service("WorkingDirectory=/srv/local", RUN)},
        {"file": f"{LOCAL}/local.service"},
    ),
    "login-shell": (
        {
            f"{SYSTEM}/login-shell.service": service(
                f"ExecStart=/bin/bash -lc 'cd /srv/login-shell && exec {NODE} dist/index.js'"
            )
        },
        {},
    ),
    "in-home": (
        {
            f"{SYSTEM}/in-home.service": service(
                "User=andy", "ExecStart=/bin/bash -lc 'cd ~/in-home && exec node dist/index.js'"
            )
        },
        {"uid": ANDY},
    ),
    "quoted-program": (
        {f"{SYSTEM}/quoted-program.service": service(f'ExecStart="{NODE}" "/srv/quoted-program/dist/index.js"')},
        {},
    ),
    "pnpm": (
        {f"{SYSTEM}/pnpm.service": service("WorkingDirectory=/srv/pnpm", "ExecStart=/usr/bin/env pnpm start")},
        {},
    ),
    "relative": (
        {f"{SYSTEM}/relative.service": service("WorkingDirectory=/srv", f"ExecStart={NODE} relative/dist/index.js")},
        {},
    ),
    "options": (
        {f"{SYSTEM}/options.service": service(f"ExecStart={NODE} --a --b --c=d --e f /srv/options/dist/index.js")},
        {},
    ),
    "script": (
        {
            f"{SYSTEM}/script.service": service("ExecStart=/opt/start"),
            "/opt/start": "#!/bin/sh\ncd /srv/script || exit\nexec node dist/index.js\n",
        },
        {},
    ),
    "script-of-shell": (
        {
            f"{SYSTEM}/script-of-shell.service": service("ExecStart=/bin/sh /opt/start-2"),
            "/opt/start-2": "#!/bin/sh\ncd /srv/script-of-shell || exit\nexec node dist/index.js\n",
        },
        {},
    ),
    "named-home": (
        {
            f"{SYSTEM}/named-home.service": service(
                "ExecStart=/bin/sh -c 'cd ~andy/named-home && exec node dist/index.js'"
            )
        },
        {"uid": 0},
    ),
    "relative-script": (
        {
            f"{SYSTEM}/relative-script.service": service(
                "WorkingDirectory=/srv/relative-script", "ExecStart=/bin/bash run.sh"
            ),
            "/srv/relative-script/run.sh": "exec node dist/index.js\n",
        },
        {},
    ),
    "script-after-cd": (
        {
            f"{SYSTEM}/script-after-cd.service": service("ExecStart=/bin/sh -c 'cd /srv/script-after-cd; ./run'"),
            "/srv/script-after-cd/run": "#!/bin/sh\nexec node dist/index.js\n",
        },
        {},
    ),
    "long-script": (
        {
            f"{SYSTEM}/long-script.service": service("User=andy", "ExecStart=/opt/start-3"),
            "/opt/start-3": "#!/bin/sh\n" + "# of many words\n" * 200 + "cd ~/long-script && exec node dist/index.js\n",
        },
        {"uid": ANDY},
    ),
    "pm2": (
        {
            f"{SYSTEM}/pm2.service": service(
                "Environment=PM2_HOME=/srv/of-pm2", "ExecStart=/usr/lib/node_modules/pm2/bin/pm2 resurrect"
            ),
            "/srv/of-pm2/dump.pm2": '[{"pm_exec_path": "/srv/pm2/dist/index.js", "exec_interpreter": "node"}]',
        },
        {},
    ),
    "by-file": (
        {
            f"{SYSTEM}/by-file.service": service(
                "EnvironmentFile=/srv/where", "ExecStart=/bin/sh -c 'cd $WHERE && exec node dist/index.js'"
            ),
            "/srv/where": "WHERE=/srv/by-file\n",
        },
        {"doubt": None},
    ),
    "by-variable": (
        {
            f"{SYSTEM}/by-variable.service": service(
                "Environment=WHERE=/srv/by-variable", "ExecStart=/bin/sh -c 'cd $WHERE && exec node dist/index.js'"
            )
        },
        {},
    ),
    "bound": (
        {f"{SYSTEM}/bound.service": service("BindPaths=/srv/bound:/app", "WorkingDirectory=/app", RUN)},
        {},
    ),
    "rooted": ({f"{SYSTEM}/rooted.service": service("RootDirectory=/srv", "WorkingDirectory=/rooted", RUN)}, {}),
    "sudo": (
        {f"{SYSTEM}/sudo.service": service("ExecStart=/usr/bin/sudo -u andy -H node /srv/sudo/dist/index.js")},
        {"doubt": "its command may set HOME"},
    ),
    "dynamic": (
        {f"{SYSTEM}/dynamic.service": service("DynamicUser=yes", "WorkingDirectory=/srv/dynamic", RUN)},
        {"uid": None},
    ),
    "weird": (
        {
            f"{SYSTEM}/weird.service": service(
                'ExecStart=/bin/sh -c "cd /srv/weird; echo \\n\\nId=other.service\\nUser=eve; exec node dist/index.js"',
                'Environment="X=a\\nHOME=/evil" HOME=/srv/h "Y=\\"HOME=/evil\\""',
                "User=andy",
            )
        },
        {"uid": ANDY, "home": "/srv/h", "name": "weird.service"},
    ),
}
NOT_V1 = {
    f"{SYSTEM}/backup.service": service("ExecStart=/usr/bin/restic backup /srv/plain"),
    f"{SYSTEM}/tool.service": service(f"ExecStart={NODE} /srv/tool/index.js"),
    f"{SYSTEM}/longer.service": service("WorkingDirectory=/srv/plainer", RUN),
    f"{SYSTEM}/other.service": service("EnvironmentFile=/srv/of-others", f"ExecStart={NODE} /opt/other.js"),
    "/srv/of-others": "SEES=/srv/plain\n",
}
UNITS = """
from files.pods.service.root_units import units
from files.pods.v1.find import every_home, homes_with_units
homes = homes_with_units(every_home()[0])
answer = {root: units(root, homes) for root in ROOTS}
"""


def units_by_root(machine: Managed, folder: Path, *roots: str, before: str = "") -> dict[str, Any]:
    """Return the reply for each project root."""
    for root in roots:
        machine.files.setdefault(f"{root}/store/messages.db", "")
        machine.files.setdefault(f"{root}/dist/index.js", SERVES)
    reply: dict[str, Any] = machine.ask(f"ROOTS = {list(roots)!r}\n{before}\n{UNITS}", folder)
    return reply


@pytest.fixture(scope="module")
def of_the_system(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    files = {path: text for case, _ in SYSTEM_UNITS.values() for path, text in case.items()}
    links = {
        f"{SYSTEM}/basic.target.wants/claw@template.service": "../claw@.service",
        f"{SYSTEM}/alias.service": "plain.service",
    }
    files[f"{LOCAL}/gone.service"] = service("WorkingDirectory=/srv/plain", RUN)
    links[f"{SYSTEM}/gone.service"] = "/dev/null"
    machine = Managed(
        files={**files, **NOT_V1},
        users=USERS,
        links={
            **links,
            "/home/andy/in-home": "/srv/in-home",
            "/home/andy/long-script": "/srv/long-script",
            "/home/andy/named-home": "/srv/named-home",
        },
    )
    machine.owners = {"/srv": ANDY, "/home/andy": ANDY}
    once = "import functools, files.pods.service.root_units as r; r.service_names = functools.cache(r.service_names)"
    once += "; show = functools.cache(r.show_units); r.show_units = lambda m, names, what: show(m, tuple(names), what)"
    return units_by_root(
        machine, tmp_path_factory.mktemp("machine"), *(f"/srv/{name}" for name in SYSTEM_UNITS), before=once
    )


@needs_managers
@pytest.mark.parametrize("name", SYSTEM_UNITS)
def test_settings_of_a_unit_are_those_of_systemd(name: str, of_the_system: dict[str, Any]) -> None:
    reply = of_the_system[f"/srv/{name}"]
    (unit,) = reply["units"]
    expected = {"manager": "system", "active": "inactive", "reload": False, **SYSTEM_UNITS[name][1]}
    assert {key: unit[key] for key in expected} == expected
    assert reply["unasked"] == []


HOME_UNITS = {
    f"/home/andy/{USER}/claw.service": service("WorkingDirectory=%h/claw", RUN),
    f"/home/andy/{USER}/claw.service.d/x.conf": service('Environment="HOME=%h/other"'),
    "/home/andy/.local/share/systemd/user/shared.service": service(f"ExecStart={NODE} %h/shared/dist/index.js"),
    f"/home/andy/{USER}/nested.service": service("WorkingDirectory=%h/apps", f"ExecStart={NODE} nested/dist/index.js"),
    f"{GLOBAL}/everybody.service": service("WorkingDirectory=%h/everybody", RUN),
    f"/home/CORP/dom/{USER}/claw.service": service("WorkingDirectory=%h/claw", RUN),
    f"/home/eve/{USER}/mine.service": service("WorkingDirectory=/home/andy/claw", RUN),
}
OWNERS = {"/home/andy": ANDY, "/home/eve": EVE, "/home/CORP/dom": CORP}
ROOTS = (
    "/home/andy/claw",
    "/home/andy/shared",
    "/home/andy/everybody",
    "/home/CORP/dom/claw",
    "/home/andy/apps/nested",
)


@needs_managers
def test_user_unit_runs_as_the_user_of_its_manager(tmp_path: Path) -> None:
    """The owner of the directory does not matter: root owns andy's here."""
    machine = Managed(files=dict(HOME_UNITS), users=USERS, running=(ANDY, EVE), owners=OWNERS)
    machine.first = (f"chown -R 0:0 /home/andy/{USER}",)
    reply = units_by_root(machine, tmp_path, *ROOTS)
    users = {root: [(one["manager"], one["uid"], one["home"]) for one in reply[root]["units"]] for root in ROOTS[:3]}
    assert users == {
        ROOTS[0]: [("user", ANDY, "/home/andy/other")],
        ROOTS[1]: [("user", ANDY, "/home/andy")],
        ROOTS[2]: [("user", ANDY, "/home/andy")],
    }
    assert [one["active"] for one in reply[ROOTS[0]]["units"]] == ["inactive"]


@needs_managers
def test_units_of_a_user_that_may_not_write_the_root_do_not_count(tmp_path: Path) -> None:
    machine = Managed(files=dict(HOME_UNITS), users=USERS, running=(ANDY, EVE), owners=OWNERS)
    reply = units_by_root(machine, tmp_path, ROOTS[0])[ROOTS[0]]
    assert [one["uid"] for one in reply["units"]] == [ANDY]
    assert reply["strangers"] == [f"/home/eve/{USER}/mine.service of uid {EVE}"]
    assert reply["unasked"] == []


SILENT = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(9)
kept = []
while True:
    kept.append(listener.accept()[0])
"""


@needs_managers
def test_silent_manager_counts_only_for_users_that_may_write_the_root(tmp_path: Path) -> None:
    """Anybody may replace its own manager's socket."""
    machine = Managed(files={**HOME_UNITS, "/run/silent.py": SILENT}, users=USERS, owners=OWNERS)
    paths = [f"/run/user/{uid}/systemd" for uid in (ANDY, EVE)]
    machine.first = tuple(
        f"mkdir -p {place}; python3 /run/silent.py {place}/private & sleep 0.5; chmod -R 777 /run/user"
        for place in paths
    )
    reply = units_by_root(
        machine, tmp_path, ROOTS[0], before="import files.pods.common.systemctl as s; s.REPLY_TIMEOUT = 2"
    )
    assert reply[ROOTS[0]]["units"] == [] and reply[ROOTS[0]]["strangers"] == []
    assert reply[ROOTS[0]]["unasked"] == [{"uid": ANDY, "why": "it does not answer in time"}]


@needs_managers
def test_user_units_without_a_manager_are_read_as_text(tmp_path: Path) -> None:
    machine = Managed(files=dict(HOME_UNITS), users=USERS, owners=OWNERS, lingering=("andy",))
    machine.links = {f"/home/andy/{USER}/default.target.wants/claw.service": "../claw.service"}
    reply = units_by_root(machine, tmp_path, *ROOTS)
    units = {root: [(one["uid"], one["active"], one["enabled"]) for one in reply[root]["units"]] for root in ROOTS}
    assert units == {
        ROOTS[0]: [(ANDY, "no manager", True)],
        ROOTS[1]: [(ANDY, "no manager", False)],
        ROOTS[2]: [(ANDY, "no manager", False)],
        ROOTS[3]: [(CORP, "no manager", False)],
        ROOTS[4]: [(ANDY, "no manager", False)],
    }
    assert [one["uid"] for one in reply[ROOTS[0]]["unasked"]] == [ANDY], "one that lingers starts with the machine"


@needs_managers
def test_manager_of_a_user_that_nss_does_not_list_is_queried(tmp_path: Path) -> None:
    machine = Managed(
        files=dict(HOME_UNITS), users={**USERS, "dom": (CORP, "/home/CORP/dom")}, running=(CORP,), owners=OWNERS
    )
    (unit,) = units_by_root(machine, tmp_path, ROOTS[3])[ROOTS[3]]["units"]
    assert (unit["uid"], unit["active"], unit["home"]) == (CORP, "inactive", "/home/CORP/dom")


@needs_managers
def test_unit_that_needs_a_reload_is_reported(tmp_path: Path) -> None:
    machine = Managed(files={f"{SYSTEM}/claw.service": service("WorkingDirectory=/srv/claw", RUN)})
    late = f"{SYSTEM}/claw.service.d/x.conf"
    text = service("Environment=HOME=/x")
    machine.first = ("systemctl start claw", f"mkdir -p $(dirname {late}); printf '{text}' >{late}")
    (unit,) = units_by_root(machine, tmp_path, "/srv/claw")["/srv/claw"]["units"]
    assert (unit["reload"], unit["active"]) == (True, "active")


@needs_managers
def test_silent_systemd_is_unknown_and_not_none(tmp_path: Path) -> None:
    silent = "import files.pods.common.systemctl as s; s.child_options = lambda manager: {'env': {'PATH': '/nowhere'}}"
    reply = units_by_root(Managed(), tmp_path, "/srv/claw", before=silent)["/srv/claw"]
    assert (reply["units"], [one["uid"] for one in reply["unasked"]]) == ([], [None])


@needs_managers
def test_machine_without_systemd_has_its_unit_files_read(tmp_path: Path) -> None:
    """A container, or another init: no manager will start what the files say."""
    machine = Managed(files={f"{SYSTEM}/claw.service": service("WorkingDirectory=/srv/claw", RUN, "User=andy")})
    machine.users = USERS
    away = "import files.pods.common.systemctl as s, files.pods.service.root_units as r; r.BOOTED = '/nowhere'; "
    away += "s.child_options = lambda manager: {'env': {'PATH': '/nowhere'}}"
    reply = units_by_root(machine, tmp_path, "/srv/claw", before=away)["/srv/claw"]
    assert reply["unasked"] == []
    assert [(one["name"], one["uid"], one["active"]) for one in reply["units"]] == [("claw.service", ANDY, "unknown")]


@needs_managers
def test_unit_files_of_every_place_are_read_without_a_manager(tmp_path: Path) -> None:
    """systemd.unit(5), Unit File Load Path; of a template, what another unit wants."""
    parents, text = ("/etc", "/run", "/usr/local/lib", "/usr/lib"), service("WorkingDirectory=/srv/claw", RUN)
    files = {f"{parent}/systemd/{kind}/claw.service": text for parent in parents for kind in ("system", "user")}
    own = [f"/home/andy/{place}/claw.service" for place in (USER, ".local/share/systemd/user")]
    machine = Managed(dict.fromkeys([*own, *list(files)[:-2]], text), users=USERS, owners={"/srv/claw": ANDY})
    machine.files["/srv/claw/dist/index.js"] = SERVES
    machine.files[f"/home/andy/{USER}/of@.service"] = service("WorkingDirectory=/srv/%i", RUN)
    machine.links = {f"/home/andy/{USER}/default.target.wants/of@claw.service": "../of@.service"}
    cover = "mount -t tmpfs tmpfs $(dirname {0}) && printf '{1}' > {0}"
    machine.first = tuple(cover.format(path, text) for path in list(files)[-2:])
    away = "import files.pods.common.systemctl as s, files.pods.service.root_units as r; r.BOOTED = '/nowhere'; "
    away += "s.child_options = lambda manager: {'env': {'PATH': '/nowhere'}}\n"
    away += "from files.pods.common.unit_commands import unit_file_texts\n"
    look = "answer = {uid: [one[0] for one in unit_file_texts(uid or None, [])] for uid in (0, ANDY)}\n"
    texts = machine.ask(f"{away}ANDY = {ANDY}\n{look}", tmp_path)
    system = [path for path in files if "/system/" in path]
    assert [path for path in texts["0"] if path.endswith("/claw.service")] == system
    users = [*own, *(path for path in files if "/user/" in path)]
    assert [path for path in texts[str(ANDY)] if path.endswith("/claw.service")] == users
    units = units_by_root(machine, tmp_path, "/srv/claw", before=away)["/srv/claw"]["units"]
    assert [one["file"] for one in units if one["manager"] == "system"] == [system[0]]
    assert [(one["name"], one["file"], one["enabled"]) for one in units if one["uid"] == ANDY] == [
        ("claw.service", own[0], False),
        ("of@.service", f"/home/andy/{USER}/of@.service", True),
    ]


@needs_managers
def test_enabled_or_linked_unit_starts_with_the_machine_and_others_do_not(tmp_path: Path) -> None:
    text = service("WorkingDirectory=/srv/{}", RUN)
    with_install = f"{text}[Install]\nWantedBy=multi-user.target\n"
    states = {"on": "enabled", "link": "linked", "off": "disabled", "plain": "static"}
    files = {f"{SYSTEM}/{name}.service": with_install.format(name) for name in ("on", "off")}
    machine = Managed({**files, f"{SYSTEM}/plain.service": text.format("plain")})
    machine.files["/srv/of/link.service"] = text.format("link")
    machine.first = ("systemctl enable on", "systemctl link /srv/of/link.service")
    reply = units_by_root(machine, tmp_path, *(f"/srv/{name}" for name in states))
    units = {name: reply[f"/srv/{name}"]["units"][0] for name in states}
    assert {name: unit["file_state"] for name, unit in units.items()} == states
    assert [name for name, unit in units.items() if unit["enabled"]] == ["on", "link"]


@needs_managers
def test_linked_unit_file_is_read_without_a_manager(tmp_path: Path) -> None:
    """systemctl --user link creates such a link."""
    machine = Managed(files={"/srv/claw/claw.service": service("WorkingDirectory=/srv/claw", RUN)}, users=USERS)
    machine.links = {f"/home/andy/{USER}/claw.service": "/srv/claw/claw.service"}
    machine.owners = {"/srv/claw": ANDY, "/home/andy": ANDY}
    units = units_by_root(machine, tmp_path, "/srv/claw")["/srv/claw"]["units"]
    assert [(one["name"], one["uid"], one["active"]) for one in units] == [("claw.service", ANDY, "no manager")]
