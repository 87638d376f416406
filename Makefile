# Everything a checkout needs. `make demo` and `make test` work on a fresh machine with Python >= 3.11.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test test-slow check format bench clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.[offline]'
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PIP) -e '.[dev]'
	touch $@

demo: $(VENV)/.base  ## mine hard negatives from the docstrings of Python's standard library
	$(BIN)/hardneg demo

test: $(VENV)/.dev  ## all tests that a checkout needs
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not slow'

test-slow: $(VENV)/.dev  ## the proofs that take minutes
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.dev  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## every benchmark; each prints a table and writes benchmarks/results/*.json
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:  ## remove the environment and what the demo wrote
	rm -rf $(VENV) demo
