# Everything runs in .venv, which the first target you call sets up.
.DEFAULT_GOAL := help
.PHONY: help setup browser servers demo ui test test-fast lint bench soak clean clean-cache
BIN := .venv/bin
# Two test processes, however many cores: what trains uses the cores itself.
TWO := -n 2 --dist worksteal --durations 15

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Install everything into .venv (packages, system libraries, viewer, compiled kernels)
	@tools/setup.sh

demo: setup ## Reconstruct the bundled sample video on this machine
	@$(BIN)/reconstruct demo

ui: setup ## Open Dagster on http://127.0.0.1:3000
	@$(BIN)/reconstruct ui

browser: ## Install Chromium for the tests of the pages
	@tools/browser.sh

servers: ## Install PostgreSQL and Docker's engine for the long tests
	@tools/servers.sh

test: setup browser ## Lint and run all tests (at most 15 minutes on two cores)
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -q $(TWO)

test-fast: setup ## The fast ring: no daemon, no browser, nothing slow
	@$(BIN)/python -m pytest -q $(TWO) -m "not slow and not daemon and not browser and not gpu"

lint: setup ## Style, types and import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## Measure kernels, training and poses (most of an hour; ARGS=--quick for a short form)
	@$(BIN)/python -m benchmarks $(ARGS)

soak: setup browser servers ## The slow rings alone: real training, real runs, daemon, browser
	@$(BIN)/python -m pytest -q -m "slow or daemon or browser or soak" --timeout 3600

clean-cache: ## Forget compiled kernels
	@find reconstruction_pipeline -name '*.nb[ci]' -delete

clean: clean-cache ## Remove the environment; keeps storage/
	@rm -rf .venv
