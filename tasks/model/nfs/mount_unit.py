"""The text of what systemd reads about the pods: mount units, Docker's drop-in. systemd.mount(5), systemd.unit(5)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from tasks.model.fleet.plan import HostPlan, Source
from tasks.model.systemd_names import UNITS, unit_name

DOCKER_DROPIN = f"{UNITS}/docker.service.d/nanoclaw-pods.conf"

_START_SECONDS = 90
"""How long mount(8) may take before systemd gives up: a server that boots with its hosts is waited for."""


def unit_path(path: str) -> str:
    """The file of the mount unit for a path."""
    return f"{UNITS}/{unit_name(path)}"


def mount_points(plan: HostPlan) -> tuple[str, ...]:
    """The mounts that the service lives and dies with."""
    pods = (plan.settings.pods_path,) if plan.source else ()
    return (*pods, *(target for _source, target in plan.binds))


def transport(address: str) -> str:
    """The netid of TCP to an address: nfs(5) tells IPv6 apart as tcp6."""
    return "tcp6" if ipaddress.ip_address(address).version == 6 else "tcp"


def mount_options(source: Source, version: str, extra: Sequence[str]) -> tuple[str, ...]:
    """The options of the pods' mount, as mount(8) takes them."""
    own = (f"vers={version}", f"proto={transport(source.address)}", "hard", "nosuid", "nodev", "_netdev")
    return (*own, *map(_quoted, extra))


def _quoted(option: str) -> str:
    """An option as one of a list: a value that holds a comma, as an SELinux context may, is quoted (mount(8))."""
    name, _, value = option.partition("=")
    return f'{name}="{value}"' if "," in value else option


def pods_unit(source: Source, path: str, options: Sequence[str]) -> str:
    """The mount unit of the pods. No automount: a service would start on a trigger that cannot be mounted."""
    return f"""\
[Unit]
Description=NanoClaw pods
Wants=network-online.target
After=network-online.target

[Mount]
What={_value(str(source))}
Where={_value(path)}
Type=nfs
Options={_value(",".join(options))}
TimeoutSec={_START_SECONDS}

[Install]
WantedBy=remote-fs.target
"""


def bind_unit(source: str, target: str, pods: str, flags: Sequence[str], *, remote: bool) -> str:
    """The mount unit that shows a directory of the pods inside a local project root.

    It follows the pods' own unit where that is a remote mount: `_netdev` keeps the bind, too, out of
    local-fs.target, which would have to wait for the network that waits for it.
    """
    bound = f"BindsTo={_value(unit_name(pods))}\nAfter={_value(unit_name(pods))}\n" if remote else ""
    return f"""\
[Unit]
Description=NanoClaw pods at {_value(target)}
RequiresMountsFor={_value(pods)}
{bound}
[Mount]
What={_value(source)}
Where={_value(target)}
Type=none
Options={_value(",".join(["bind", *flags, *(["_netdev"] if remote else [])]))}
TimeoutSec=30

[Install]
WantedBy={"remote-fs.target" if remote else "local-fs.target"}
"""


def docker_dropin(units: Sequence[str]) -> str:
    """Docker's drop-in: it starts after the mounts, and without them where they fail (agents of others go on)."""
    names = " ".join(_value(unit) for unit in units)
    return f"[Unit]\nWants={names}\nAfter={names}\n"


def _value(text: str) -> str:
    """A value in a unit file: `%` begins a specifier there (systemd.unit(5), SPECIFIERS)."""
    return text.replace("%", "%%")
