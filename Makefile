# Each target makes .venv at its first call; later calls start at once. Nothing is installed outside this folder.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test test-slow lint clean
.DEFAULT_GOAL := demo

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "myoflow needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar off -e '.[dev]'
	touch $@

demo: $(STAMP)  ## the quickstart: simulate, store, train, evaluate, report
	$(BIN)/myoflow run recipes/quickstart.yaml

test: $(STAMP)  ## the default tests, under 8 minutes on 2 cores
	$(BIN)/python -m pytest -m 'not slow' -n 2

test-slow: $(STAMP)  ## the others: killed conversions of real data, two processes training, README's own blocks
	$(BIN)/python -m pytest -m slow -n 2

lint: $(STAMP)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache dist build
