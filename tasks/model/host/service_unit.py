"""The text of what makes NanoClaw a service: its unit, our drop-in to it, the retry unit, the log rotation.

The unit itself is what NanoClaw's own setup writes for root, so that a later run of that setup changes nothing;
all that is ours stands in the drop-in. Sources: systemd.unit(5), systemd.service(5), systemd.exec(5),
systemd.syntax(7) for quoting, logrotate(8).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.model.access.identity import ROOT
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.unit_hardening import HARDENING, logged
from tasks.model.nfs.container_firewall import UNIT as FENCE
from tasks.model.nfs.mount_unit import mount_points
from tasks.model.systemd_names import unit_name

UNITS = "/etc/systemd/system"
STATE_DIRECTORY = "/var/lib/nanoclaw-pods"
STARTED_DIRECTORY = "/run/nanoclaw-pods"
BUILD_STAMP = ".git/nanoclaw-pods-build"
"""Written in the checkout after each build: a new build is one reason to restart the service."""

_BACKOFF = 254
"""The first systemd that knows RestartSteps= and RestartMaxDelaySec=."""

_RETRY = 30
"""Seconds between two attempts to start a service whose mounts failed."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:@=+,-]+")


@dataclass(frozen=True)
class Account:
    """The account of the host process, as the machine knows it."""

    uid: int
    gid: int
    home: str
    group: str


@dataclass(frozen=True)
class Runtime:
    """What the texts need of a machine."""

    account: Account
    node: str
    systemd: int


def expected_account(plan: HostPlan) -> Account:
    """The account that a machine without one is going to have."""
    user = plan.settings.nanoclaw_user
    return Account(plan.host.uid, plan.host.gid, "/root" if plan.host == ROOT else f"/home/{user}", user)


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
    log, errors = log_files(plan)
    return f"""\
[Unit]
Description=NanoClaw Personal Assistant
After=network.target

[Service]
Type=simple
ExecStart={quoted(runtime.node)} {plan.root}/dist/index.js
WorkingDirectory={plan.root}
Restart=always
RestartSec=5
KillMode=process
Environment={quoted(f"HOME={home}")}
Environment={quoted(f"PATH=/usr/local/bin:/usr/bin:/bin:{home}/.local/bin")}
StandardOutput=append:{log}
StandardError=append:{errors}

[Install]
WantedBy=multi-user.target
"""


def dropin_text(plan: HostPlan, runtime: Runtime) -> str:
    """All that the role adds to the unit."""
    mounts = " ".join(unit_name(path) for path in mount_points(plan))
    lines = [
        "# Written by nanoclaw-pods. Local changes belong in another file of this directory.",
        "[Unit]",
        "Wants=network-online.target docker.service",
        f"After=network-online.target docker.service {mounts}".rstrip(),
        f"RequiresMountsFor={plan.root} {plan.sessions} {plan.groups}",
    ]
    if mounts:
        lines += [
            "# Without its mounts the service would write under the mount points.",
            f"BindsTo={mounts}",
            *(f"AssertPathIsMountPoint={path}" for path in mount_points(plan)),
            f"OnFailure={retry_unit(plan)}",
        ]
    if plan.source:
        lines += ["# Without it agents could reach the NFS server.", f"Requires={FENCE}", f"After={FENCE}"]
    lines += ["StartLimitIntervalSec=0", "", "[Service]"]
    if plan.host != ROOT:
        lines += [
            f"User={plan.settings.nanoclaw_user}",
            f"Group={plan.host.gid}",
            "SupplementaryGroups=docker",
            *HARDENING.splitlines(),
        ]
    lines += logged(f"{quoted(runtime.node)} {plan.root}/dist/index.js", log_files(plan))
    lines += ["UMask=0022", "Restart=always", "RestartSec=5"]
    if runtime.systemd >= _BACKOFF:
        lines += ["RestartSteps=5", "RestartMaxDelaySec=60"]
    lines += [f"Environment={quoted(f'{name}={value}')}" for name, value in environment(plan).items()]
    digests = f"timeout 30 sha256sum {' '.join(inputs(plan))} 2>/dev/null >{started_record(plan)}"
    lines += [
        "# What this start takes in; the next run of the role compares.",
        f"ExecStartPre=+-/bin/sh -c 'umask 077; mkdir -p {STARTED_DIRECTORY}; {digests}'",
    ]
    return "\n".join(lines) + "\n"


def environment(plan: HostPlan) -> dict[str, str]:
    """The environment of the service beside HOME and PATH, in the order of names."""
    wanted = dict(plan.settings.nanoclaw_environment)
    if plan.settings.nanoclaw_image != "build":
        wanted["CONTAINER_IMAGE"] = plan.image
    return dict(sorted(wanted.items()))


def retry_text(plan: HostPlan) -> str:
    """A unit that starts a service whose mounts failed, again and again until they are there.

    systemd does not retry a mount: after a boot without the NFS server nothing else would start the service.
    Starts only where a mount is missing (`|` is OR); ends when the service is up, stopped (PartOf=) or disabled.
    """
    missing = "\n".join(f"ConditionPathIsMountPoint=|!{path}" for path in mount_points(plan))
    again = f"while systemctl -q is-enabled {plan.unit}; do systemctl start {plan.unit} && exit; sleep {_RETRY}; done"
    return f"""\
# Written by nanoclaw-pods.
[Unit]
Description=Start {plan.unit} when its mounts are there
PartOf={plan.unit}
{missing}

[Service]
Type=simple
ExecStart=/bin/sh -c '{again}'
"""


def rotation_text(plan: HostPlan, account: Account) -> str:
    """Log rotation: NanoClaw holds its logs open, so they are copied and truncated in place."""
    settings = plan.settings
    return f"""\
# Written by nanoclaw-pods.
{" ".join(log_files(plan))} {{
    su {settings.nanoclaw_user} {account.group}
    size {settings.nanoclaw_log_size}
    rotate {settings.nanoclaw_log_keep}
    nodateext
    missingok
    notifempty
    compress
    copytruncate
}}
"""
