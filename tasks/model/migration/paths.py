"""Paths of a migration on a machine, and its progress."""

import hashlib
import json
from dataclasses import asdict

from files.pods.transition.protocol import Progress, ProgressRequest
from files.pods.v1.v1_state import Install
from tasks.model.fleet.plan import HostPlan
from tasks.model.fleet.system_paths import STATE_DIRECTORY
from tasks.model.host.service_unit import name_of


def is_staged(progress: Progress, install: Install) -> bool:
    """Return whether v2 has all copies of this v1 already, and was never started."""
    journal = progress.journal
    known = journal and (journal.v1, journal.chats) == (install.path, chats_digest(install))
    return bool(known and journal and journal.state == "staged" and not journal.aside)


def chats_digest(install: Install) -> str:
    """Return a digest of v1's groups: NanoClaw's own steps add groups to v2, and remove none."""
    groups = sorted(json.dumps(asdict(group), sort_keys=True) for group in install.database.groups)
    return hashlib.sha256("\n".join(groups).encode()).hexdigest()[:16]


def directory(plan: HostPlan) -> str:
    """Return the directory of the journal, the record and the backup."""
    return f"{STATE_DIRECTORY}/{name_of(plan)}.migration"


def service(plan: HostPlan) -> str:
    """Return the transient unit that runs a part of a migration."""
    return f"nanoclaw-pods-migration-{plan.slug}.service"


def marker(plan: HostPlan) -> str:
    """Return the marker file: while it exists, v2 starts and v1 does not."""
    return f"/etc/nanoclaw-pods/{name_of(plan)}.migrated"


def ran(plan: HostPlan) -> str:
    """Return the file that exists while a v1 that ran before is stopped."""
    return f"{directory(plan)}/v1-ran"


def trying(plan: HostPlan) -> str:
    """Return the file that exists while v1 is stopped and v2 has not passed its gate; a crash removes it."""
    return f"/run/nanoclaw-pods-{plan.slug}.trying"


def progress_request(plan: HostPlan) -> ProgressRequest:
    """Return the request of the fact MigrationProgress."""
    return ProgressRequest(directory(plan), service(plan), plan.root, marker(plan))
