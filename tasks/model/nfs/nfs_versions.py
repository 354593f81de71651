"""The versions that an NFS server serves: nfs.conf(5), who decides them, and whom a restart would hit."""

from collections.abc import Iterable, Sequence

from files.pods.nfs.export_state import ExportState
from files.pods.nfs.protocol import ExportsRequest
from tasks.model.fleet.plan import ServerPlan
from tasks.model.fleet.system_paths import STATE_DIRECTORY
from tasks.model.nfs.exports import DROPIN, HEADER, some, target
from tasks.model.platform.platform import DEBIAN_13

UNIT = DEBIAN_13.nfs_server_unit
CONF = "/etc/nfs.conf.d/nanoclaw-pods.conf"
TRIED = f"{STATE_DIRECTORY}/nfs-versions-tried"
"""Holds what nfs.conf(5) and the unit said when a restart did not bring the versions that were wanted."""


def nfs_conf_text(plan: ServerPlan) -> str | None:
    """The drop-in of /etc/nfs.conf.d: NFSv3 on or off (nfs.conf(5), nfsd). None: the versions stay as they are."""
    desired = plan.settings.nfs_v3
    return None if desired is None else f"{HEADER}[nfsd]\nvers3={'y' if desired else 'n'}\n"


def serves_v3(versions: Sequence[str]) -> bool:
    """Whether the running server serves NFSv3 (nfsd(7), versions)."""
    return "+3" in versions


def needs_restart(plan: ServerPlan, state: ExportState) -> bool:
    """Whether the running server has other versions than the settings say, or does not tell them."""
    desired = plan.settings.nfs_v3
    return desired is not None and state.active and (not state.versions or serves_v3(state.versions) != desired)


def other_clients(plan: ServerPlan, state: ExportState) -> list[str]:
    """Who else uses the server: connected clients, and exports that are not this inventory's."""
    ours = {(export.path, export.client) for export in plan.exports}
    addresses = {export.client for export in plan.exports}
    clients = ["clients that this kernel does not list"] if state.clients is None else []
    clients += [address for address in state.clients or () if address not in addresses]
    return clients + [target((path, client)) for path, client, *_ in state.table if (path, client) not in ours]


def version_refusals(plan: ServerPlan, state: ExportState) -> Iterable[str]:
    """Why the server cannot be brought to its versions, each with the way out."""
    if state.threads and not state.active:
        yield (
            f"the kernel serves NFS, but {UNIT} is not active: another program started it. A start of the "
            f"unit would drop its exports: run systemctl start {UNIT} when that is right, then run again"
        )
    desired = plan.settings.nfs_v3
    if desired is None:
        return
    if winners := _winners(plan, state, desired):
        yield (
            f"{' and '.join(winners)} overrides nfs_v3: it sets vers3 and is read after {CONF}. Change vers3 there, or "
            "set nfs_v3 to that value or to None"
        )
    elif needs_restart(plan, state):
        yield from _restart_refusals(plan, state)


def _winners(plan: ServerPlan, state: ExportState, desired: bool) -> list[str]:
    """The files that decide on NFSv3 in place of the role's, and decide otherwise."""
    names = [name for name, _value in state.v3_files]
    later = state.v3_files[names.index(CONF) + 1 :] if CONF in names else []
    if later:
        return [name for name, value in later[-1:] if value is not desired]
    ignored = state.conf == nfs_conf_text(plan) and state.v3 is not None and state.v3 is not desired
    return ["/etc/nfs.conf, or a file that it includes,"] if ignored else []


def _restart_refusals(plan: ServerPlan, state: ExportState) -> Iterable[str]:
    version = "NFSv3 on" if plan.settings.nfs_v3 else "NFSv3 off"
    if not state.versions:
        yield f"{version}: the kernel does not list its NFS versions. Mount nfsd on /proc/fs/nfsd, then run again"
    elif state.tried == f"{state.basis}\n":
        yield (
            f"{version}: a restart of {UNIT} had no effect. Its command line may overrule {CONF}: check "
            f"systemctl cat {UNIT}, correct it, restart the unit, then run again"
        )
    elif (others := other_clients(plan, state)) and not plan.settings.nfs_restart_shared:
        yield (
            f"{version} needs a restart of {UNIT}, which others use: {some(others)}. Set "
            "nfs_restart_shared to True to restart it, or nfs_v3 to None to leave the versions as they are"
        )


def lacks_v3(plan: ServerPlan, state: ExportState) -> bool:
    """Whether hosts cannot mount with NFSv3, for the server does not serve it and the role leaves that so."""
    if plan.settings.nfs_v3 is not None:
        return not plan.settings.nfs_v3
    return bool(state.versions) and not serves_v3(state.versions) if state.active else state.v3 is False


def exports_request(plan: ServerPlan) -> ExportsRequest:
    """What a server is asked about its exports."""
    return ExportsRequest(DROPIN, CONF, TRIED, sorted({export.path for export in plan.exports}))
