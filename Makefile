# Everything a newcomer needs: `make run` and `make test`. Needs Python 3.11 or later and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test check docs bench bench-peers chaos lock clean

run: $(STAMP)  ## Start the hub with a simulated fleet; Ctrl-C ends it
	$(BIN)/wattwire serve --demo

test: $(STAMP) tests/node/node_modules/.installed node-red/node_modules/.installed  ## Run every test
	$(PYTHON) tests/system_packages.py
	$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder --durations=15

check: $(STAMP)  ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)  ## Write the reference pages again from the code
	$(BIN)/wattwire docs

bench: $(STAMP)  ## Measure, each figure beside its yardstick
	$(BIN)/python -m benchmarks

bench-peers:  ## Install what `make bench` compares with: Node-RED
	cd benchmarks/peers && npm ci --no-audit --no-fund

chaos: $(STAMP)  ## A hundred rounds of kill -9
	WATTWIRE_CHAOS_ROUNDS=100 $(BIN)/pytest -q tests/stories/test_chaos.py --timeout=7200

lock:  ## Resolve the dependencies again, with hashes and without download addresses
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check 'pip-tools>=7.5'
	build/lock/bin/pip-compile --quiet --allow-unsafe --generate-hashes --strip-extras --all-extras \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header \
	  --output-file requirements.lock pyproject.toml

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Wattwire needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

tests/node/node_modules/.installed: tests/node/package-lock.json
	cd tests/node && npm ci --no-audit --no-fund --silent
	touch $@

node-red/node_modules/.installed: node-red/package-lock.json
	cd node-red && npm ci --no-audit --no-fund --silent
	touch $@

clean:  ## Forget what was installed; the hub's data stays
	rm -rf $(VENV) tests/node/node_modules node-red/node_modules benchmarks/peers/node_modules
