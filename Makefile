# Everything happens in .venv; delete the folder to start afresh. PYTHON picks the interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: bench test test-all check gate format benchmarks clean

bench: $(READY)  ## the main job: NUTS and emcee on the 50-dimensional Gaussian
	$(BIN)/gradbench run configs/gaussian50.yaml

test: $(READY)  ## the fast tests, and one slow one of each kind, a file on each core
	$(BIN)/python -m pytest -m "not slow or smoke" --numprocesses auto --dist loadfile

test-all: $(READY)  ## all tests: what CI runs
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: $(READY)  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

gate: $(READY)  ## this project's own gate: did a sampler become less efficient?
	$(BIN)/gradbench check gate --only gaussian --baseline gate --quiet

format: $(READY)
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

benchmarks: $(READY)  ## what gradbench itself costs, as ratios
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/compare.py
	$(BIN)/python benchmarks/samplers.py
	$(BIN)/python benchmarks/gradients.py

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group test --group check
	touch $@

clean:
	rm -rf $(VENV) dist
