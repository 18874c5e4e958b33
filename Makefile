# Two commands are enough on a fresh machine with Python 3.11+, pip and make: `make demo` and `make test`.
# Everything they install goes into .venv; the system's Python packages are never touched.

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .venv/bootstrap/bin/uv
# The system's certificates, so that a company's own authority is trusted as it is by everything else on the machine.
export UV_SYSTEM_CERTS := true
export UV_PYTHON_DOWNLOADS := never
SYNC := $(UV) sync --locked --inexact --compile-bytecode --python $(PYTHON) --quiet
SOURCES := refit projects tasks flows serving deployments infra tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help install demo test fast test-slow test-ui test-secrets stack test-stack infra-tools chaos lint types format audit benchmark clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 18

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] < (3, 14) else "Refit needs Python 3.11 to 3.13: name one by `make PYTHON=python3.12 ...`")'
	@echo "Installing uv $(UV_VERSION) into .venv ..."
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
	  --root-user-action=ignore --target .venv/bootstrap uv==$(UV_VERSION)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv

.venv/installed: $(UV) pyproject.toml uv.lock
	@echo "Installing what Refit runs on into .venv (once, about 1.2 GB) ..."
	@$(SYNC) --no-dev
	@touch $@

.venv/installed-dev: $(UV) pyproject.toml uv.lock
	@echo "Installing what Refit runs on and its test tools into .venv (once, about 1.4 GB) ..."
	@$(SYNC)
	@touch $@ .venv/installed

.venv/installed-ui: $(UV) pyproject.toml uv.lock
	@echo "Installing what drives a browser into .venv (once, about 0.2 GB beside the test tools) ..."
	@$(SYNC) --group ui
	@touch $@ .venv/installed-dev .venv/installed

.venv/installed-infra: $(UV) pyproject.toml uv.lock
	@echo "Installing what checks the files in infra/ into .venv (once, about 0.4 GB beside the test tools) ..."
	@$(SYNC) --group infra
	@touch $@ .venv/installed-dev .venv/installed

.venv/installed-stack: $(UV) pyproject.toml uv.lock
	@echo "Installing an object store and what speaks with it into .venv (once, about 0.2 GB beside the test tools) ..."
	@$(SYNC) --group stack
	@touch $@ .venv/installed-dev .venv/installed

install: .venv/installed ## Install Refit into .venv

stack: .venv/installed-stack ## Run all of production here, without Docker: PostgreSQL, object store, MLflow, Prefect, two workers
	@.venv/bin/python -m refit_deployments.production

infra-tools: .venv/installed-infra ## Install what tests/infra checks compose file, chart, image and templates with

demo: .venv/installed ## Show the whole loop on generated data: champion, quiet weeks, drift, retrain, promotion
	@.venv/bin/refit demo

# Two processes at a time, each fit on one thread: more threads than cores only wait for each other. Tests are dealt out
# one by one, but those of one xdist_group, which share a server or a home, go to one process.
PYTEST := OMP_NUM_THREADS=1 .venv/bin/pytest --numprocesses=2 --dist=loadgroup

test: .venv/installed-dev ## Check style, types and imports, and test each promise of the README; some minutes
	@$(MAKE) --no-print-directory --jobs=2 lint types fast

fast: .venv/installed-dev
	@$(PYTEST)

test-slow: .venv/installed-dev ## Run the other tests: each kill, whole flows, full simulations; half an hour
	@$(PYTEST) -m slow

test-ui: .venv/installed-ui ## Drive Prefect's and MLflow's UI in a headless Chromium, and keep screenshots
	@OMP_NUM_THREADS=1 .venv/bin/pytest tests/ui

test-secrets: .venv/installed-dev ## Plant passwords, run a guarded stack on PostgreSQL, and search all it writes for them
	@OMP_NUM_THREADS=1 .venv/bin/pytest tests/secrets

test-stack: .venv/installed-stack ## Run the whole loop on that stack, race and kill on it; some minutes
	@OMP_NUM_THREADS=1 .venv/bin/pytest tests/stack

chaos: .venv/installed-dev ## Kill every command at every step and at 100 random moments, and check what is left
	@OMP_NUM_THREADS=1 .venv/bin/python -m tests.support.chaos

lint: .venv/installed-dev ## Check style
	@.venv/bin/ruff check --quiet $(SOURCES)
	@.venv/bin/ruff format --quiet --check $(SOURCES)

types: .venv/installed-dev ## Check types strictly
	@.venv/bin/mypy

format: .venv/installed-dev ## Format the code
	@.venv/bin/ruff format --quiet $(SOURCES)
	@.venv/bin/ruff check --quiet --fix $(SOURCES)

# Asks a service on the network, so that it is not a part of `make test`.
audit: $(UV) ## Look for known vulnerabilities in the locked packages
	@$(UV) audit --locked --preview-features audit-command

benchmark: .venv/installed-dev ## Measure speed and memory beside the peers
	@.venv/bin/python -m benchmarks

clean: ## Remove the environment and all of Refit's state
	rm -rf .venv .refit
