"""The lowest version of NanoClaw that the role can run."""

from collections.abc import Iterator

from tasks.model.fleet.plan import FleetPlan, HostPlan, Problem
from tasks.model.fleet.settings import HostSettings
from tasks.model.versions.version_order import is_later, release_version

LOWEST = "2.0.5"
"""From it on the image, and the label of containers, have the slug of the checkout, by which the role finds them."""
LOWEST_OF_MIGRATION = "2.0.26"
"""From it on there are the steps of a migration from v1 (setup/migrate-v2)."""
_UPSTREAM = HostSettings.model_fields["nanoclaw_repository"].default


def too_old(ref: str, version: str, *, slug: bool = False, migrate: bool = False) -> str | None:
    """Why a version is too old, and the way out; None if it is not.

    + version: the one that the ref is of
    + slug: whether it has src/install-slug.ts; then a number below 2 is a fork's own
    + migrate: whether the host migrates from v1
    """
    what = ref if ref == version else f"{ref} ({version})"
    number = release_version(version)
    if number is None or number.numbers[0] < 2:
        if slug:
            return None
        if number is None:
            return f"{what} names no version of NanoClaw in its package.json: set nanoclaw_ref to a release of v2"
        return (
            f"{what} is NanoClaw v1, and this role installs v2 only: set nanoclaw_ref to a version from {LOWEST} on. "
            "To migrate a v1 that runs, set nanoclaw_v1_dir to its directory"
        )
    if is_later(LOWEST, version):
        return f"{what} is too old for this role: set nanoclaw_ref to a version from {LOWEST} on"
    if migrate and is_later(LOWEST_OF_MIGRATION, version):
        return (
            f"{what} cannot migrate from v1, for it has no setup/migrate-v2: set nanoclaw_ref to a version from "
            f"{LOWEST_OF_MIGRATION} on"
        )
    return None


def migrates(plan: HostPlan) -> bool:
    """Whether a host's data asks for a migration from v1."""
    return plan.settings.nanoclaw_v1_dir is not None and not plan.settings.nanoclaw_v1_rollback


def old_refs(fleet: FleetPlan) -> Iterator[Problem]:
    """Yield a problem for each host with a nanoclaw_ref of NanoClaw's own repository that is too old by its tag.

    Another repository may have tags of its own: its versions are judged by their files, once they are fetched.
    """
    for plan in fleet.hosts.values():
        settings, ref = plan.settings, plan.settings.nanoclaw_ref
        if settings.nanoclaw_repository != _UPSTREAM or settings.nanoclaw_v1_rollback or release_version(ref) is None:
            continue
        if text := too_old(ref, ref, migrate=migrates(plan)):
            yield Problem(plan.name, "nanoclaw_ref", text, "version-too-old")
