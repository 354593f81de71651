"""What a machine is refused for: judged from what it is, before anything is done to it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from files.pods.machine.machine_state import MachineState
from tasks.model.access.identity import IdentityError, squash_in_force
from tasks.model.fleet.near_names import Others
from tasks.model.fleet.plan import Export, FleetPlan, HostPlan, Problem, ServerPlan
from tasks.model.host.account import account_problem
from tasks.model.host.existing_directories import host_problems, one_machine, own_addresses
from tasks.model.nfs.exports import matches
from tasks.model.nfs.mount_refusals import is_source
from tasks.model.nfs.mount_unit import mount_points
from tasks.model.platform.platform import platform_of

_NEEDED_BYTES = 1 << 30
NETWORK_TYPES = frozenset({"nfs", "nfs4"})


def machine_problems(fleet: FleetPlan, machines: Mapping[str, MachineState | None]) -> list[Problem]:
    """Every reason for which the run must not begin, of the machines that it looked at."""
    problems: list[Problem] = []
    for name, state in machines.items():
        if state is None:
            text = "did not answer, or has no python3: install it (apt-get install python3), or leave the machine out"
            problems.append(Problem(name, "machine", f"{text} with --exclude {name}", "no-reply"))
            continue
        problems += _system(name, state)
        if name in fleet.hosts:
            problems += _host(fleet.hosts[name], state)
    known = {name: state for name, state in machines.items() if state is not None}
    problems += one_machine({name: state.identity for name, state in known.items()})
    problems += own_addresses(fleet, {name: state.addresses for name, state in known.items()})
    return problems + list(_hostnames(fleet, machines))


def guards_first(fleet: FleetPlan, machines: Mapping[str, MachineState | None]) -> frozenset[str]:
    """Return the hosts that need their guard before their server changes, and have all its mounts.

    Otherwise sessions created after the server stops squashing and before the guard runs would be root's.
    """
    return frozenset(
        name
        for name, state in machines.items()
        if state and (plan := fleet.hosts.get(name)) and plan.server and plan.strategy.needs_guard
        if not plan.settings.nanoclaw_v1_rollback and set(mount_points(plan)) <= {mount.path for mount in state.mounts}
    )


def stops_first(
    fleet: FleetPlan, machines: Mapping[str, MachineState | None], tables: Mapping[str, Sequence[Sequence[str]]]
) -> frozenset[str]:
    """Return the hosts that stop NanoClaw before their server changes: it will map their ids in another way.

    What a process has open and not yet written is lost then: the server refuses it under the other ids. Over NFSv4 the
    server also waits for the client to return such a file, which the client cannot (RFC 8881, section 10.4). Every
    change of the squash counts, since the process that runs may have another user than the plan.

    + tables: of each server of this run its table in force, an entry being path, client, options
    """
    exports = {export.host: (export, tables[name]) for name in tables for export in fleet.servers[name].exports}
    return frozenset(
        name
        for name, state in machines.items()
        if state and name in exports and not fleet.hosts[name].settings.nanoclaw_v1_rollback
        if _squash_changes(*exports[name])
    )


def _squash_changes(export: Export, table: Sequence[Sequence[str]]) -> bool:
    """Whether what is in force for the host maps ids in another way than the plan; without an entry nothing changes.

    An entry for the host's address counts before one for a network or a name, as in exports(5).
    """
    now = {
        client: options for path, client, *options in table if path == export.path and matches(client, export.client)
    }
    entries = [now[export.client]] if export.client in now else now.values()
    try:
        return any(squash_in_force(options) != squash_in_force(export.options) for options in entries)
    except IdentityError:
        return True  # ids in another form, such as anonuid=-2: unknown is not the same


def guard_left_out_problems(
    fleet: FleetPlan, server: ServerPlan, table: Sequence[Sequence[str]], running: Collection[str]
) -> Iterable[Problem]:
    """Yield hosts that a run leaves out, where the export would stop squashing before the guard runs.

    + table: the server's table in force, an entry being path, client, options
    + running: the machines of the run
    """
    for export in server.exports:
        now = [options for path, client, *options in table if (path, client) == (export.path, export.client)]
        squashes = any("no_root_squash" not in options or "all_squash" in options for options in now)
        if squashes and export.host not in running and fleet.hosts[export.host].strategy.needs_guard:
            text = (
                f"this run would make {server.name} stop squashing this host's sessions, and the guard must run here "
                f"before that: add this host to the run (--limit {export.host}), or leave {server.name} out"
            )
            yield Problem(export.host, "pods_access", text, "guard-left-out")


def _system(name: str, state: MachineState) -> Iterable[Problem]:
    if state.uid != 0:
        text = f"commands run as uid {state.uid} and need root: set _sudo = True for this machine, or ssh_user to root"
        yield Problem(name, "machine", text, "not-root")
    if state.python < (3, 9):
        text = f"python3 is {state.python[0]}.{state.python[1]}; 3.9 or newer is needed"
        yield Problem(name, "machine", text, "python-too-old")
    if not state.systemd:
        yield Problem(name, "machine", "systemd is not its init", "no-systemd")
    if state.protected_hardlinks != 1:
        current = "unknown" if state.protected_hardlinks is None else state.protected_hardlinks
        text = (
            f"fs.protected_hardlinks is {current} and must be 1: else a user can link another's file into a tree, and "
            "root would chown it to the tree's owner. Set it now and for each boot: echo fs.protected_hardlinks=1 "
            ">/etc/sysctl.d/60-nanoclaw-pods.conf && sysctl --system"
        )
        yield Problem(name, "machine", text, "hard-links-unprotected")
    if platform_of(state.distribution, state.version) is None:
        current = f"{state.distribution or 'an unknown system'} {state.version}".strip()
        text = f"is {current}; Debian 12 and Ubuntu 22.04 or newer are supported"
        yield Problem(name, "machine", text, "system-not-supported")
    for path, free in state.free.items():
        if free is not None and free < _NEEDED_BYTES:
            text = f"has {free >> 20} MiB free for {path}; {_NEEDED_BYTES >> 20} MiB are needed: free some space"
            yield Problem(name, "machine", text, "too-little-space")


def _host(plan: HostPlan, state: MachineState) -> Iterable[Problem]:
    if state.account and (problem := account_problem(state.account, plan)):
        yield Problem(plan.name, problem.key, problem.text, problem.reason)
    yield from host_problems(plan, state.places, state.barred)
    yield from _mount_point(plan, state)


def agent_uid_problems(fleet: FleetPlan, machines: Mapping[str, MachineState | None]) -> list[Problem]:
    """Return a problem for each person who would own sessions; known once an unmanaged server's squash is."""
    hosts = ((fleet.hosts[name], state) for name, state in machines.items() if state and name in fleet.hosts)
    return [problem for plan, state in hosts for problem in _person(plan, state)]


def _person(plan: HostPlan, state: MachineState) -> Iterable[Problem]:
    """A person is accepted where nanoclaw_agent_account names the account, and nowhere else."""
    user, accepted = plan.settings.nanoclaw_user, plan.settings.nanoclaw_agent_account
    if state.account and state.account.person and user != accepted:
        text = (
            f"somebody can log in to {user} on this machine, and would be the host process: set nanoclaw_user to a "
            f"name that nobody has, or nanoclaw_agent_account to {user} if that is right"
        )
        yield Problem(plan.name, "nanoclaw_user", text, "host-user-is-person")
    if state.person not in (None, user, accepted):
        text = (
            f"the agent's uid {plan.stored_agent.uid} is {state.person}'s on this machine, who can log in and could "
            f"read and write every session: give that account another uid, or set nanoclaw_agent_account to "
            f"{state.person} if that is right"
        )
        yield Problem(plan.name, "nanoclaw_agent_account", text, "agent-is-person")


def _mount_point(plan: HostPlan, state: MachineState) -> Iterable[Problem]:
    if plan.source is None:
        return
    path = plan.settings.pods_path
    mounts = [mount for mount in state.mounts if mount.path == path]
    if mounts and (
        mounts[-1].type not in NETWORK_TYPES or not is_source(mounts[-1].source, mounts[-1].addresses, plan.source)
    ):
        current = f"{mounts[-1].source} ({mounts[-1].type})"
        text = (
            f"{current} is mounted there, not {plan.source}: unmount it, or set pods_server and pods_export to it, "
            "or pods_path to another directory"
        )
        yield Problem(plan.name, "pods_path", text, "other-mount")
    for target in (path, *(bind for _source, bind in plan.binds)):
        names = state.beneath.get(target)
        if names:
            text = (
                f"{target} is not mounted and holds {', '.join(names)}, which a mount would hide: copy "
                'them to the server if they are NanoClaw\'s, then move them away (docs/rollout.md, "Adopt")'
            )
            yield Problem(plan.name, "pods_path", text, "mount-would-hide")


def _hostnames(fleet: FleetPlan, machines: Mapping[str, MachineState | None]) -> Iterable[Problem]:
    named: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, state in machines.items():
        plan = fleet.hosts.get(name)
        if plan and plan.source and state:
            named[plan.source.address, state.hostname].append(name)
    for (_server, hostname), names in named.items():
        others = Others(names)
        for name in names if len(names) > 1 else ():
            text = (
                f"has the host name {hostname} like {others.than(name)}: NFSv4.1 clients of one name take each other's "
                "locks; give each its own (hostnamectl set-hostname)"
            )
            yield Problem(name, "hostname", text, "hostname-twice")
