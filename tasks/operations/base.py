"""The shape of every operation: a fact that must be known, and errors that leave other machines alone."""

from collections.abc import Callable, Generator
from functools import wraps
from typing import ParamSpec, TypeVar

from pyinfra import host, logger, state
from pyinfra.api import FunctionCommand, StringCommand, operation
from pyinfra.api.exceptions import OperationError
from pyinfra.api.host import Host
from pyinfra.api.operation import PyinfraOperation
from pyinfra.api.state import State

from files.pods.common.protocol import Reply, Request
from tasks.bundle import entry_of
from tasks.model.problem import UnfitError
from tasks.model.sanitize import printable
from tasks.replies import ask_machine, replies
from tasks.report import kept_back

Answer = TypeVar("Answer", bound=Reply)
P = ParamSpec("P")

Commands = Generator[StringCommand | FunctionCommand, None, None]


def read_state(reply: type[Answer], request: Request, payload: str = "") -> Answer:
    """What the machine replies; an OperationError where that is unknown, for unknown is not absent.

    + payload: what the entry itself reads from its standard input
    """
    answer = ask_machine(host, reply, request, payload)
    if answer is None:
        raise OperationError(
            f"this machine did not report its state ({request.entry}): correct its error above, or check its SSH "
            "connection and its python3, then run again"
        )
    return answer


def pods_operation(function: Callable[P, Commands]) -> PyinfraOperation[P]:
    """Make an operation that ends the whole run by an error in a check phase, before anything changes anywhere.

    Later it fails its machine alone, with the reason as the last line: pyinfra lets what an operation raises while it
    executes end the run for the whole fleet, so there the reason becomes a failing command.
    """
    return _operation(function, lasts=False)


def lasting_operation(function: Callable[P, Commands]) -> PyinfraOperation[P]:
    """The same, for one that depends on nothing that a later operation of the run brings.

    Rule: what it has changed, it would not change again. It is decided anew after its last command; a machine that is
    not as it should be then would be changed by every run, so it fails.
    """
    return _operation(function, lasts=True)


def _operation(function: Callable[P, Commands], *, lasts: bool) -> PyinfraOperation[P]:
    @operation()
    @wraps(function)
    def fails_alone(*args: P.args, **kwargs: P.kwargs) -> Commands:
        try:
            if state.is_executing:
                replies().own.add((host.name, host.executing_op_hash))
            changed = False
            for command in function(*args, **kwargs):
                changed = True
                replies().forget(host)
                yield command
            if changed and lasts and state.is_executing:
                _refuse_repetition(function(*args, **kwargs))
        except Exception as error:
            refused = isinstance(error, OperationError | UnfitError)
            reason = str(error) if refused else f"a fault of the role itself: {error!r}"
            if not state.is_executing:
                raise OperationError(f"{host.name}: {reason}") from error
            yield FunctionCommand(_fail, (reason,), {})

    return fails_alone


def _refuse_repetition(again: Commands) -> None:
    """Raise OperationError where an operation that has just changed its machine would do so again."""
    with kept_back() as reasons:
        command = next(again, None)
    again.close()
    if isinstance(command, StringCommand | FunctionCommand):
        why = "; ".join(reasons) or f"it would do this again: {_short(command)}"
        raise OperationError(
            f"The change has no effect: something else on the machine overrules it or undoes it. {why}"
        )


def _short(command: StringCommand | FunctionCommand) -> str:
    """The beginning of a command; a program of the role by its name."""
    if isinstance(command, FunctionCommand):
        return "a step on the controller"
    return entry_of(str(command)) or str(command)[:80]


def _fail(state: State, host: Host, reason: str) -> bool:
    for line in reason.splitlines() or [""]:
        host.log_styled(printable(line, "\t"), fg="red", log_func=logger.error)
    return False
