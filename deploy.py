"""The play: NFS servers first, then the hosts that mount from them; each machine is proved at the end.

pyinfra knows an operation by its line: calls here and in tasks/ are static, one line each.
"""

import sys
from pathlib import Path

from pyinfra import config, host

sys.path.insert(0, str(Path(__file__).resolve().parent))  # pyinfra may run in the fleet's own directory
config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"

from tasks.exports import serve_exports
from tasks.migration import migrate_v1, record_migration, roll_back_to_v1
from tasks.mounts import mount_pods
from tasks.operation_order import servers_first
from tasks.ownership import guard_first, own_exports, own_trees
from tasks.preflight import check_fleet
from tasks.runtime import install_runtime
from tasks.service import run_service, stop_first
from tasks.source import install_source
from tasks.terminal import protect_terminal
from tasks.verify import verify_host
from tasks.version import change_version

protect_terminal()
fleet = check_fleet()
server_plan = fleet.servers.get(host.name)
host_plan = fleet.hosts.get(host.name)
migration, change = fleet.migrations.get(host.name), fleet.changes.get(host.name)
guard_starts_first = host.name in fleet.guards_first

if host_plan and guard_starts_first:
    guard_first(plan=host_plan)
if host_plan and host.name in fleet.stops_first:
    stop_first(plan=host_plan)
servers_first()

if server_plan:
    guards, stops = fleet.guards_first_on(host.name), fleet.stops_first_on(host.name)
    serve_exports(plan=server_plan, guard_hosts=guards, stop_hosts=stops)
    own_exports(plan=server_plan)

if host_plan and migration and host_plan.settings.nanoclaw_v1_rollback:
    roll_back_to_v1(plan=host_plan, migration=migration)
elif host_plan:
    install_runtime(plan=host_plan)
    mount_pods(plan=host_plan)
    install_source(plan=host_plan, move=change is None)
    own_trees(plan=host_plan, guard_started=guard_starts_first)
    run_service(plan=host_plan, start=migration is None and change is None)
    if migration:
        migrate_v1(plan=host_plan, migration=migration)
    if change:
        change_version(plan=host_plan, change=change)
    verify_host(plan=host_plan)

if host_plan and host_plan.settings.nanoclaw_v1_dir:
    record_migration(plan=host_plan)
