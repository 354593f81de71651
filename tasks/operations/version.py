"""A change of version on a NanoClaw that serves; git.repo would write the new version under the running one."""

import dataclasses
import json

from pyinfra import host, state
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import OperationError

from files.pods.machine.protocol import InstallPnpmRequest
from files.pods.source.image_state import ImageState
from files.pods.source.protocol import CheckoutState, FetchRequest
from files.pods.transition.documents import Head
from files.pods.transition.protocol import Progress
from tasks.command import run_request, write_file
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.agent_image import image_request, record_of
from tasks.model.host.checkout import checkout_problem, checkout_request
from tasks.model.host.service_unit import image_record
from tasks.model.host.step import Part
from tasks.model.host.version_change import (
    VersionChange,
    directory,
    marker,
    progress_request,
    rollback,
    service,
    steps,
    trying,
)
from tasks.model.host.version_due import is_undecided, node_of
from tasks.model.ownership.owners import can_chown_on_export
from tasks.operations.base import Commands, lasting_operation, pods_operation, read_state
from tasks.operations.machine_work import Places, run_part
from tasks.operations.verify import probe_request
from tasks.operations.waves import require_earlier_waves
from tasks.run_context import run_context


def _read_state(plan: HostPlan) -> CheckoutState:
    return read_state(CheckoutState, checkout_request(plan))


def _serves(plan: HostPlan, change: VersionChange) -> bool:
    """Whether the new version was committed: it is checked out, and no switch is undecided."""
    return _read_state(plan).commit == change.commit and not is_undecided(read_state(Progress, progress_request(plan)))


@pods_operation
def stage_version(plan: HostPlan, change: VersionChange) -> Commands:
    """Stage a version beside the one that serves: its checkout, its build, its gateway and channels, its agent image.

    Owns: a directory beside the project root, .NAME.nanoclaw-pods; the journal in
    /var/lib/nanoclaw-pods/<unit>.transition; a unit that rolls an interrupted switch back at a boot. Leaves alone: the
    project root but for the objects of its repository, the service, its image. Changes: until the version serves.
    Errors: a step that fails, with its output; the old version continues to serve.
    """
    if _serves(plan, change):
        host.noop(f"{change.version} serves")
        return
    settings = plan.settings
    yield run_request(
        FetchRequest(
            root=plan.root,
            lock=plan.lock,
            **plan.host_user,
            repository=settings.nanoclaw_repository,
            ref=settings.nanoclaw_ref,
            fetch=True,
            mounts=[target for _source, target in plan.binds] or ([settings.pods_path] if plan.source else []),
            decides_owner=can_chown_on_export(plan),
            unit=plan.unit,
        )
    )
    if state.is_executing:
        current = _read_state(plan)
        if problem := checkout_problem(current, plan):
            raise OperationError(problem)
        # This run may have installed another Node, and has fetched the files that say what the version needs.
        change = dataclasses.replace(change, node=node_of(current), needs=current.version.needs)
    yield _part("staging", plan, change)


@lasting_operation
def switch_version(plan: HostPlan, change: VersionChange, *, earlier: tuple[str, ...]) -> Commands:
    """Drain and stop the old version, switch to the staged one, start and test it; roll back where that fails.

    Owns: what is checked out, its build, its agent image and the record of that, data/v2.db in a rollback, the
    machine's pnpm. Leaves alone: sessions, groups, local changes. Changes: until the version serves. Errors: a step
    that failed, with its output; the old version serves again then, with its data and what was written since. A failed
    host of an earlier wave: this host does not change. The machine completes the switch by itself.

    + earlier: hosts that must have changed their version before this one
    """
    if _serves(plan, change):
        run_context().migrated.add(plan.name)
        host.noop(f"{change.version} serves")
        return
    require_earlier_waves(earlier, "not changed, the old version serves", "the new version")
    yield _part("switching", plan, change)
    if not state.is_executing:
        return
    if not _serves(plan, change):
        raise OperationError(f"the switch has ended without {change.version}: see {directory(plan)}/journal.json")
    run_context().migrated.add(plan.name)
    current = _read_state(plan)
    if current.pnpm_pin and current.pnpm != current.pnpm_pin:
        in_the_way, path = current.pnpm_in_the_way, current.npm_path
        yield run_request(InstallPnpmRequest(current.pnpm_pin, current.pnpm_digest, in_the_way, path))
    image = read_state(ImageState, image_request(plan))
    record = record_of(plan, image)
    if record is not None and record != image.record:
        yield write_file(image_record(plan), json.dumps(dataclasses.asdict(record)) + "\n")


def _part(part: Part, plan: HostPlan, change: VersionChange) -> StringCommand:
    head = Head(
        host=plan.name,
        v1="",
        root=plan.root,
        unit=plan.unit,
        chats="",
        versions={"old": change.before[:12], "new": change.version},
    )
    places = Places(directory(plan), service(plan), marker(plan), trying(plan))
    return run_part(
        part,
        head,
        lambda probe, back: steps(part, plan, change, probe, back),
        rollback(plan, change),
        places,
        probe_request(plan),
    )
