"""The file that a version of NanoClaw has if it starts its agents by a session driver (2.3.0)."""

from __future__ import annotations

SESSION_DRIVER = "src/drivers/docker-driver.ts"
