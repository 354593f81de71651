"""The order of hosts that change one wave after the other."""

from collections.abc import Sequence

from pyinfra import inventory, state
from pyinfra.api.exceptions import OperationError

from tasks.run_context import run_context


def require_earlier_waves(earlier: Sequence[str], unchanged: str, new: str) -> None:
    """Require that every host of an earlier wave serves with what is new. Errors: one that does not, by its name.

    Hosts that failed are not enough: with --serial or --no-wait an earlier wave may not have run yet.

    + unchanged: the state in which this host stays
    + new: what the earlier hosts must serve with
    """
    if not state.is_executing or not (missing := [name for name in earlier if name not in run_context().migrated]):
        return
    failed = [name for name in missing if inventory.get_host(name) in state.failed_hosts]
    what = "failed" if failed else f"does not serve with {new} yet"
    raise OperationError(f"{unchanged}: {', '.join(failed or missing)} of an earlier wave {what}")
