# Setting up, running and testing upstartd. `make` alone says what there is.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: help run test test-integration lint docs bench bench-latency bench-idle bench-cycles bench-logs

help:
	@echo "make run    play the tutorial with a private daemon: no bus, no root, nothing outside a scratch directory"
	@echo "make test   run every test; make test ARGS=tests/unit runs those"
	@echo "make test-integration  the tests against Ansible, which is installed for that; without, make test skips them"
	@echo "make lint   ruff and mypy"
	@echo "make docs   write those parts of the documentation that are made from the tree itself"
	@echo "make bench  measure what events, starts and stops cost, for several numbers of jobs"
	@echo "make bench-latency  measure how long a status takes while there is much else to do"
	@echo "make bench-idle  count what the daemon does when there is nothing to do: 0 in a minute"
	@echo "make bench-cycles  measure what 20,000 starts and stops, and the like, leave behind in memory"
	@echo "make bench-logs  measure what the output of jobs costs: much of one, and of many at once"

run: .venv/installed
	@packaging/debian/need nodejs
	@$(BIN)/python docs/tutorial/run.py

test: .venv/installed-with-tools
	@packaging/debian/need dbus-daemon nodejs python3-dbusmock
	$(BIN)/python -m pytest $(ARGS)

test-integration: .venv/installed-with-integration
	@packaging/debian/need dbus-daemon
	$(BIN)/python -m pytest -m integration $(ARGS)

lint: .venv/installed-with-tools
	$(BIN)/ruff check .
	$(BIN)/mypy
	MYPYPATH=tests/bench $(BIN)/mypy tests/bench/*.py

docs: .venv/installed
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/tutorial/transcript.py
	$(BIN)/python packaging/man/make.py

bench: .venv/installed-with-tools
	$(BIN)/python tests/bench/bench.py $(ARGS)

bench-latency: .venv/installed-with-tools
	$(BIN)/python tests/bench/bench_latency.py $(ARGS)

bench-idle: .venv/installed-with-tools
	@packaging/debian/need strace
	$(BIN)/python tests/bench/bench_idle.py $(ARGS)

bench-cycles: .venv/installed-with-tools
	$(BIN)/python tests/bench/bench_cycles.py $(ARGS)

bench-logs: .venv/installed-with-tools
	$(BIN)/python tests/bench/bench_logs.py $(ARGS)

# pip is the last thing that a new environment gets, so one that has it is whole.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	@packaging/debian/need python3-venv
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | $(BIN)/pip
	$(PIP) install --editable .
	@touch $@

.venv/installed-with-tools: pyproject.toml | $(BIN)/pip
	$(PIP) install --editable '.[test,lint]'
	@touch $@ .venv/installed

.venv/installed-with-integration: pyproject.toml .venv/installed-with-tools
	$(PIP) install --editable '.[integration]'
	@touch $@
