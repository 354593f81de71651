"""The matrix: predictions of tasks.model.access.session_lifecycle against real kernels. `make matrix` runs it."""
