"""`python -m tests.bench`: measures, writes build/bench.json, and prints a table."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version

from tests.bench import counted, switch, timed
from tests.e2e.fleet import PROJECT

RESULT = PROJECT / "build" / "bench.json"


def main() -> None:
    """Counts first, for that needs nothing; then the lab, if it is up; then a migration, in a lab of its own."""
    counts = counted.count()
    print(counted.table(counts), flush=True)
    lab = timed.measure(os.environ)
    print(f"\n{timed.sentence(lab)}")
    migration = switch.measure()
    print(f"\n{switch.sentence(migration)}")
    document = {
        "pyinfra": version("pyinfra"),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "counted": counted.document(counts),
        "lab": lab,
        "migration": migration,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {RESULT.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
