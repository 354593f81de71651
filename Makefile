# What people and CI type. `make` alone says what there is.
PYTHON ?= python3
BIN := .venv/bin
# For every Python from 3.10 on, by marker: the lowest one decides which releases fit.
COMPILE := build/lock/bin/uv pip compile -q --no-python-downloads --universal --python-version 3.10 --generate-hashes
TESTS := tests/fake tests/fixtures tests/unit  # the longest first, so that no process is left alone with them

.PHONY: help setup check lint types unit test newest demo matrix soak bench docs lock lab-down clean

help: ## says what there is
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.ready ## the virtual environment, and the Debian packages of the lab where this is root on Debian
	@$(BIN)/python -m tests.lab install

.venv/.ready: requirements-test.lock
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { apt-get -q update && apt-get -q -y install python3-venv; }
	@echo "setup: installing the packages of $< into .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

lint: .venv/.ready ## style, and shellcheck for shell that lands on machines
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	git ls-files -z '*.sh' .ci/run | xargs -0 $(BIN)/shellcheck

types: .venv/.ready ## mypy, strict
	$(BIN)/mypy

unit: .venv/.ready ## what needs no lab: unit, fixture and fake tests
	$(BIN)/pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder $(TESTS)

check: lint types unit ## lint, types and unit

test: setup ## everything, the lab included
	@$(MAKE) --no-print-directory check
	$(BIN)/pytest --durations=60 tests/e2e
	@$(MAKE) --no-print-directory newest

newest: .venv/.ready ## says whether the newest pyinfra works
	@$(BIN)/python -m tests.newest

demo: setup ## the main job on four lab machines: the incident, one command, answers
	@$(BIN)/python -m tests.e2e.demo

matrix: setup ## compares what the model says of who may write what with what kernels do
	@$(BIN)/python -m tests.matrix

soak: setup ## what CI runs a sample of, whole
	@$(BIN)/python -m tests.soak

bench: setup ## measures and writes build/bench.json
	@$(BIN)/python -m tests.bench

docs: .venv/.ready ## writes the generated tables of docs/, and group_data/all.py
	$(BIN)/python -m tests.docs

lock: ## writes the two locks from requirements.in and requirements-test.in; pins that still fit stay
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install -q --disable-pip-version-check uv
	$(COMPILE) -o requirements.lock requirements.in
	$(COMPILE) -o requirements-test.lock requirements-test.in

lab-down: ## ends what make demo left running
	@$(BIN)/python -m tests.lab down

clean: ## the virtual environment and build/
	rm -rf .venv build
