"""Programs that a measurement puts on a machine of the lab: Python's standard library only, each alone."""
