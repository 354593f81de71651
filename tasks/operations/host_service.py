"""NanoClaw's service; systemd.service restarts when it is told to, not when the running process is outdated."""

import json
from dataclasses import replace

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

from files.pods.service.protocol import AdoptUnitsRequest, InstallUnitsRequest, MakeLogsRequest, ServiceState
from tasks.command import argv, run_request, write_file
from tasks.model.fleet.plan import HostPlan
from tasks.model.host import service_unit as texts
from tasks.model.host.service_state import adoptable, refusals, service_request, start_request
from tasks.model.host.service_steps import service_steps
from tasks.model.ownership.owners import expected_owner
from tasks.operations.base import Commands, lasting_operation, read_state
from tasks.operations.dry_run import is_pending, mark_pending, with_pending_owners
from tasks.report import say, show_diff


@lasting_operation
def host_service(plan: HostPlan, *, start: bool = True) -> Commands:
    """Run NanoClaw as a system service that starts and stops with its mounts, and rotate its logs.

    Owns: the unit, its drop-in 50-nanoclaw-pods.conf, its retry unit, the unit's entry in
    /etc/logrotate.d, that logs/ and the two logs exist and belong to the host process, that the unit is enabled
    and runs; a new host user gets the mount allow-list of the one before, if it has none. Leaves alone: other drop-ins
    of the unit, what is in the logs, units of other project roots. Adopts: a service of the host user's own manager
    that runs this project root is stopped and disabled there; its file stays.
    Changes: when a text differs; when the unit is stopped or disabled; when it is active and does not answer on its
    socket, as in the pause of NanoClaw's circuit breaker; when it started before the last change of
    its unit, .env, build or agent image (each start notes their digests, so that a missed restart is made up).
    Errors: something else runs the same project root; a unit that systemd-analyze refuses is not installed; a
    service that does not answer fails with what this start has logged. A restart ends the agents of the last start.

    + start: whether the service is to run; if not, what it needs is installed and its state is left alone
    """
    current = read_state(ServiceState, service_request(plan))
    current = replace(current, logs=with_pending_owners(current.logs))
    if is_pending("service"):
        current = replace(current, unit=replace(current.unit, active="inactive", sub="dead"))
    refused = refusals(plan, current)
    if current.account is None and state.is_executing:
        refused.append(f"there is no user {plan.settings.nanoclaw_user} on this machine")
    if refused:
        raise OperationError("; ".join(refused))
    pending = is_pending("database", "build", "image", "environment")
    steps = service_steps(plan, current, start=start, pending=pending)
    if not steps:
        host.noop(f"{plan.unit} runs what is installed" if start else f"what {plan.unit} needs is installed")
        return
    for reason in steps.reasons:
        say(reason)
    for path, text in steps.units.items():
        show_diff(path, current.files[path], text)
    if steps.rotation is not None:
        path = texts.rotation_path(plan)
        show_diff(path, current.files[path], steps.rotation)

    if steps.logs:
        owner = expected_owner(plan, "project root")
        ids = (owner.uid, owner.gid) if owner else None
        yield run_request(MakeLogsRequest(plan.root, list(steps.logs), ids))
    if steps.units:
        yield run_request(InstallUnitsRequest(**plan.host_user, unit=plan.unit), json.dumps(steps.units))
    if steps.rotation is not None:
        yield write_file(texts.rotation_path(plan), steps.rotation, validate=("logrotate", "-d", "{}"))
    if start and (adopted := adoptable(plan, current)):
        names = sorted(rival.name.rpartition("/")[2] for rival in adopted)
        yield run_request(AdoptUnitsRequest(plan.host_ids.uid, names))
    if steps.start:
        yield run_request(start_request(plan, restart=steps.restart))


@lasting_operation
def stop_service(plan: HostPlan) -> Commands:
    """Stop NanoClaw before its server maps its ids in another way; `host_service` starts it again.

    Owns: that the unit is stopped until then, and has no file open. Leaves alone: agents, for which the server's ids
    stay the same. Changes: when the unit runs. Sources: exports(5) "User ID Mapping"; RFC 8881, section 10.4.
    """
    current = read_state(ServiceState, service_request(plan)).unit
    if current.active in ("inactive", "failed"):
        host.noop(f"{plan.unit} does not run")
        return
    mark_pending("service")
    say(f"{plan.unit} stops until its server has changed: the server will map its ids in another way")
    yield argv("systemctl", "stop", plan.unit)
