"""The text of what systemd reads about the pods: mount units, Docker's drop-in. systemd.mount(5), systemd.unit(5)."""

import ipaddress
from collections.abc import Sequence

from tasks.model.fleet.plan import HostPlan, Source
from tasks.model.platform.platform import DEBIAN_13
from tasks.model.systemd_names import UNITS, unit_name
from tasks.model.templates import render

DOCKER_DROPIN = f"{UNITS}/{DEBIAN_13.docker_unit}.d/nanoclaw-pods.conf"


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
    """The mount unit of the pods."""
    return _unit("pods.mount", what=str(source), where=path, options=",".join(options))


def bind_unit(source: str, target: str, pods: str, flags: Sequence[str], *, remote: bool) -> str:
    """The mount unit that shows a directory of the pods inside a local project root."""
    options = ["bind", *flags, *(["_netdev"] if remote else [])]
    follows = unit_name(pods) if remote else ""
    return _unit("bind.mount", what=source, where=target, pods=pods, follows=follows, options=",".join(options))


def docker_dropin(units: Sequence[str]) -> str:
    """Docker's drop-in: it starts after these units."""
    return _unit("docker.service.d/nanoclaw-pods.conf", units=" ".join(units))


def _unit(name: str, **values: str) -> str:
    """A unit file with these values: `%` begins a specifier in one (systemd.unit(5), SPECIFIERS)."""
    return render(f"units/{name}", **{key: value.replace("%", "%%") for key, value in values.items()})
