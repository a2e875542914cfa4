# Two commands are all a newcomer needs: `make start` and `make test`. Each builds .venv itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOAK_CALLS ?= 1000000
SOAK_SECONDS ?= 1800
FUZZ_SECONDS ?= 30
LOAD_SECONDS ?= 24
FUZZ_TARGETS := json_scan event_stream lines frames session_id request_state http1 fast_request fast_response fast_chunks
SOURCES := pyproject.toml setup.py $(wildcard only1mcp/_speedups/*.py* only1mcp/_speedups/*.pxd)

PARTS := lint test-real test-process-1 test-process-2 test-matrix test-parts test-pure

.PHONY: start test test-compiled $(PARTS) gates bench load compare soak chaos fuzz clean

start: $(VENV)/.core
	@$(BIN)/only1mcp start

# Tests mostly wait for processes, so several go side by side, the long ones before the short; ratios
# are measured when all is quiet.
test: $(VENV)/.real
	@$(MAKE) -j3 -O $(PARTS)
	@$(MAKE) gates

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint only1mcp

test-compiled: $(VENV)/.dev
	$(BIN)/pytest -q -m "not real"

test-process-1: $(VENV)/.dev
	$(BIN)/pytest -q --durations=15 tests/process/test_[a-k]*.py

test-process-2: $(VENV)/.dev
	$(BIN)/pytest -q --durations=15 tests/process/test_[l-z]*.py

test-parts: $(VENV)/.dev
	$(BIN)/pytest -q -m "not real" --ignore tests/process

test-pure: $(VENV)/.dev
	ONLY1MCP_PURE=1 $(BIN)/pytest -q tests/speedups tests/unit

test-real: $(VENV)/.real
	$(BIN)/pytest -q --durations=15 -m real --ignore tests/matrix

test-matrix: $(VENV)/.real
	$(BIN)/pytest -q --durations=5 -m real tests/matrix

gates: $(VENV)/.dev
	$(BIN)/pytest -q -m gate --benchmark-disable benchmarks

bench: $(VENV)/.dev
	$(BIN)/pytest -q benchmarks

load: $(VENV)/.load $(VENV)/.real
	$(BIN)/python -m loadtests.run --seconds $(LOAD_SECONDS)

compare: $(VENV)/.dev
	$(BIN)/python -m benchmarks.peers

soak: $(VENV)/.dev
	$(BIN)/python -m loadtests.nonces --calls $(SOAK_CALLS)
	$(BIN)/python -m loadtests.sessions --calls 100000 --warm-up 5000 --within 8
	$(BIN)/python -m loadtests.hammer --seconds 60
	$(BIN)/python -m loadtests.idle --connections 15000
	$(BIN)/python -m loadtests.memory --calls 100000 --within 86
	$(BIN)/python -m chaos soak --seconds $(SOAK_SECONDS)

chaos: $(VENV)/.dev
	$(BIN)/python -m chaos

fuzz: $(VENV)/.fuzz
	@for target in $(FUZZ_TARGETS); do \
	  echo "fuzz $$target for $(FUZZ_SECONDS) s"; \
	  $(BIN)/python -m fuzz $$target --seconds $(FUZZ_SECONDS) || exit 1; \
	done

clean:
	rm -rf $(VENV) .real .fuzz .peers build only1mcp.egg-info

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or newer is needed. hint: make start PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "hint: on Debian, apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.core: $(VENV)/bin/pip $(SOURCES)
	@echo "building $(VENV): dependencies, then the compiled parts; about a minute"
	$(BIN)/pip install -q -e .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/pip $(SOURCES)
	$(BIN)/pip install -q -e '.[dev]'
	@touch $@ $(VENV)/.core

$(VENV)/.fuzz: $(VENV)/.dev
	$(BIN)/pip install -q -e '.[fuzz]'
	@touch $@

$(VENV)/.load: $(VENV)/.dev
	$(BIN)/pip install -q -e '.[load]'
	@touch $@

$(VENV)/.real: $(VENV)/.dev scripts/install_real.py $(wildcard tests/real/*.txt tests/real/*.json)
	$(BIN)/python scripts/install_real.py
	@touch $@
