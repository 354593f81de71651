"""The matrix: what tasks.model.life predicts, against what real kernels do. `make matrix` runs it."""
