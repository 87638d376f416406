# Everything a checkout needs. `make demo` and `make test` work on a fresh machine with Python >= 3.11.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test test-slow test-trainers trainer-files check format bench clean

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

# Trainers' pins clash: each has an environment of its own, of tests/trainers/requirements/NAME.txt; what stands in
# alone/NAME.txt comes without what it asks for. hardneg only leaves the files there. `make trainer-NAME` is one of them; `make -k test-trainers` goes on where one fails.
TRAINERS := $(basename $(notdir $(wildcard tests/trainers/requirements/*.txt)))
TRAINER_FILES := $(abspath .venvs/files)

test-trainers: trainer-files $(addprefix trainer-,$(TRAINERS))  ## each trainer takes a step on the files written for it
	HARDNEG_TRAINER_FILES=$(TRAINER_FILES) $(BIN)/python -m pytest tests/trainers/test_sentence_transformers.py

trainer-files: $(VENV)/.dev
	$(BIN)/python tests/trainers/export_files.py $(TRAINER_FILES)

trainer-%: .venvs/%/.made trainer-files
	HARDNEG_TRAINER_FILES=$(TRAINER_FILES) .venvs/$*/bin/python -m pytest tests/trainers/test_$*.py

.PRECIOUS: .venvs/%/.made
.venvs/%/.made: tests/trainers/requirements/%.txt
	test -x .venvs/$*/bin/python || $(PYTHON) -m venv .venvs/$*
	.venvs/$*/bin/pip install --quiet --disable-pip-version-check -r $<
	! test -f $(<D)/alone/$(<F) || .venvs/$*/bin/pip install --quiet --no-deps -r $(<D)/alone/$(<F)
	touch $@

check: $(VENV)/.dev  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## every benchmark; each prints a table and writes benchmarks/results/*.json
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:  ## remove the environments and what the demo wrote
	rm -rf $(VENV) .venvs demo
