"""Services of a manager that count, by their properties."""

from __future__ import annotations

from typing import Any

import pytest

from files.pods.service import root_units


@pytest.mark.parametrize(
    ("load", "active", "counts"),
    [
        ("loaded", "inactive", True),
        ("loaded", "active", True),
        ("masked", "inactive", False),
        ("masked", "failed", False),
        ("masked", "active", True),
    ],
)
def test_masked_service_counts_while_it_runs(
    load: str, active: str, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was masked after its start: nothing starts it again, and it serves."""
    unit = {"Id": "claw.service", "LoadState": load, "ActiveState": active, "User": ""}
    request: list[Any] = []

    def may_run(shown: dict[str, str], root: str, home: str | None) -> bool:
        request.append((shown, root, home))
        return True

    monkeypatch.setattr(root_units, "service_names", lambda _manager: ["claw.service"])
    monkeypatch.setattr(root_units, "show_units", lambda _manager, _names, _properties: [unit])
    monkeypatch.setattr(root_units, "may_run", may_run)
    monkeypatch.setattr(root_units, "home_of", lambda uid: f"/home/{uid}")
    monkeypatch.setattr(root_units, "unit_of", lambda manager, name: {"manager": manager, "name": name})
    for manager, home in ((None, "/home/0"), (1000, "/home/1000")):
        services = root_units.units_of(manager, "/srv/claw")
        assert services == ([{"manager": manager, "name": "claw.service"}] if counts else [])
        assert request[-1:] == ([(unit, "/srv/claw", home)] if counts else [])
