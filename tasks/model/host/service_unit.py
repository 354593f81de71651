"""The text of what makes NanoClaw a service: its unit, our drop-in to it, the retry unit, the log rotation.

The unit itself is what NanoClaw's own setup writes for root, so that a later run of that setup changes nothing;
all that is ours stands in the drop-in. Sources: systemd.unit(5), systemd.service(5), systemd.exec(5),
systemd.syntax(7) for quoting, logrotate(8), open(2).
"""

import re
from dataclasses import dataclass

from files.pods.service.protocol import Account
from tasks.model.access.identity import ROOT
from tasks.model.fleet.plan import HostPlan
from tasks.model.fleet.system_paths import STATE_DIRECTORY
from tasks.model.nfs.container_firewall import UNIT as FIREWALL
from tasks.model.nfs.mount_unit import mount_points
from tasks.model.systemd_names import UNITS, unit_name
from tasks.model.templates import render

STARTED_DIRECTORY = "/run/nanoclaw-pods"
BUILD_STAMP = ".git/nanoclaw-pods-build"
"""Written in the checkout after each build: a new build is one reason to restart the service."""

LOGGED = (
    "import os, sys; "
    "d = os.open(sys.argv[1], os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW); "
    "f = [os.open(n, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644, dir_fd=d) "
    "for n in sys.argv[2:4]]; "
    "[os.dup2(n, 1 + i) for i, n in enumerate(f)]; "
    "os.execv(sys.argv[4], sys.argv[4:])"
)
"""Runs a command that writes its logs, opened as the unit's user and through no link: systemd's own append: opens them
as root, and follows links (systemd.exec(5)); whoever can write in logs/ would choose what root writes to."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:@=+,-]+")


@dataclass(frozen=True)
class Runtime:
    """What the texts need of a machine."""

    account: Account
    node: str
    systemd: int


def expected_account(plan: HostPlan) -> Account:
    """The account that a machine without one is going to have."""
    user = plan.settings.nanoclaw_user
    return Account(plan.host_ids.uid, plan.host_ids.gid, "/root" if plan.host_ids == ROOT else f"/home/{user}", user)


def name_of(plan: HostPlan) -> str:
    """The unit's name without .service."""
    return plan.unit.removesuffix(".service")


def unit_path(plan: HostPlan) -> str:
    """Where the service's unit lies."""
    return f"{UNITS}/{plan.unit}"


def dropin_path(plan: HostPlan) -> str:
    """Where the role's drop-in of the unit lies."""
    return f"{UNITS}/{plan.unit}.d/50-nanoclaw-pods.conf"


def retry_unit(plan: HostPlan) -> str:
    """The name of the unit that starts the service once its mounts are there."""
    return f"nanoclaw-pods-retry-{plan.slug}.service"


def retry_path(plan: HostPlan) -> str:
    """Where the unit lies that starts the service once its mounts are there."""
    return f"{UNITS}/{retry_unit(plan)}"


def rotation_path(plan: HostPlan) -> str:
    """Where logrotate's entry for the service's logs lies."""
    return f"/etc/logrotate.d/{name_of(plan)}"


def image_record(plan: HostPlan) -> str:
    """Where the machine keeps what is known of the agent image that the service starts."""
    return f"{STATE_DIRECTORY}/{name_of(plan)}.image.json"


def started_record(plan: HostPlan) -> str:
    """Where each start of the service notes the digests of `inputs`."""
    return f"{STARTED_DIRECTORY}/{name_of(plan)}.started"


def inputs(plan: HostPlan) -> tuple[str, ...]:
    """The files that the service takes in when it starts: it is restarted when one of them has changed since."""
    return (
        unit_path(plan),
        dropin_path(plan),
        f"{plan.root}/.env",
        f"{plan.root}/{BUILD_STAMP}",
        image_record(plan),
    )


def log_directory(plan: HostPlan) -> str:
    """Where the service's logs lie."""
    return f"{plan.root}/logs"


def log_files(plan: HostPlan) -> tuple[str, str]:
    """The service's log, and its log of errors."""
    return (f"{log_directory(plan)}/nanoclaw.log", f"{log_directory(plan)}/nanoclaw.error.log")


def quoted(word: str) -> str:
    """`word` as one word of a unit file: no specifier, no escape and no quote of it is taken for one.

    Raises ValueError for control characters: systemd drops an assignment that holds one.
    """
    if any(ord(c) < 32 or ord(c) == 127 for c in word):
        raise ValueError("a control character cannot stand in a unit file")
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return text if _PLAIN.fullmatch(text) else f'"{text}"'


def unit_text(plan: HostPlan, runtime: Runtime) -> str:
    """What NanoClaw's own setup writes for root; for another user only HOME differs."""
    home = runtime.account.home
    path = f"PATH=/usr/local/bin:/usr/bin:/bin:{home}/.local/bin"
    values = {"node": runtime.node, "home": f"HOME={home}", "path": path}
    return render("units/nanoclaw.service", plan=plan, **{name: quoted(word) for name, word in values.items()})


def dropin_text(plan: HostPlan, runtime: Runtime) -> str:
    """All that the role adds to the unit."""
    return render(
        "units/nanoclaw.service.d/50-nanoclaw-pods.conf",
        plan=plan,
        mounts=" ".join(map(unit_name, mount_points(plan))),
        mount_points=mount_points(plan),
        retry_unit=retry_unit(plan),
        firewall=FIREWALL,
        as_root=plan.host_ids == ROOT,
        logged=LOGGED,
        node=quoted(runtime.node),
        systemd=runtime.systemd,
        environment=[quoted(f"{name}={value}") for name, value in environment(plan).items()],
        started_directory=STARTED_DIRECTORY,
        inputs=" ".join(inputs(plan)),
        started=started_record(plan),
    )


def environment(plan: HostPlan) -> dict[str, str]:
    """The environment of the service beside HOME and PATH, in the order of names."""
    variables = dict(plan.settings.nanoclaw_environment)
    if plan.settings.nanoclaw_image != "build":
        variables["CONTAINER_IMAGE"] = plan.image
    return dict(sorted(variables.items()))


def retry_text(plan: HostPlan) -> str:
    """Return a unit that starts the service again and again until its failed mounts are there."""
    return render("units/nanoclaw-pods-retry.service", plan=plan, mount_points=mount_points(plan))


def rotation_text(plan: HostPlan, account: Account) -> str:
    """Log rotation: NanoClaw holds its logs open, so they are copied and truncated in place."""
    return render("nanoclaw.logrotate", plan=plan, group=account.group)
