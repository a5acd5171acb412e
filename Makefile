# `make demo` and `make test` need Python 3.11 or newer, git and make; everything else they set up in .venv.
# PYTHON=/path/to/python chooses the Python, JOBS the number of test processes, ARGS adds arguments for pytest.
# `make interop` is for a machine with real registries, builders and peers; `.ci/parts --install` fetches them.
# `make pipeline` is for a Debian host, as root; KEYLESS=1 has its lanes sign as what their jobs are.

python := .venv/bin/python
export PYTHON
# Twice the processors, since the tests wait half of their time: for processes, and for answers that do not come.
JOBS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1))))
# TESTS chooses tests by their markers; .ci/run takes all but `fuzz`.
TESTS ?= not fuzz and not slow and not parts
# What `make rules` runs; the other targets leave it to that one.
RULES := tests/test_architecture.py tests/test_project.py tests/docs
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo sigstore pipeline test interop check lint types rules coverage fuzz bench docs lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with the locked dependencies (the other targets do it themselves)
	@scripts/setup

demo: setup ## Gate a sample image: sign its lanes, refuse at four, pass at five, and try to cheat
	@$(python) examples/demo.py

sigstore: setup ## Run a private Sigstore on loopback, with what to type next, until Ctrl-C
	@$(python) -m tests.parts.sigstore_try

pipeline: setup ## Run examples/playlist from commit to staging and back, in real containers; KEYLESS=1 without keys
	@.ci/parts --install gitea act $(if $(filter 1,$(KEYLESS)),sigstore) >/dev/null
	@$(python) -m tests.pipeline $(if $(filter 1,$(KEYLESS)),--keyless) $(ARGS)

test: setup ## Run the tests that need nothing but Python and git
	@$(python) -m pytest -n $(JOBS) --dist loadgroup -m '$(TESTS)' $(RULES:%=--ignore=%) $(ARGS)

interop: TESTS = parts and not fuzz and not slow
interop: test ## Run the tests with real registries, containers and peers; what is missing is skipped, and named

check: lint types rules coverage ## Linter, formatter, types, import rules, documents, 100 % branch coverage of attest/core

lint: setup ## ruff: rules and format
	$(python) -m ruff check .
	$(python) -m ruff format --check .

types: setup ## mypy, strict
	$(python) -m mypy

rules: setup ## Import rules, the rules for files, and every document that can be run or compared
	$(python) -m pytest -q $(ARGS) $(RULES)

coverage: setup ## Branch coverage of attest/core by tests/core alone
	$(python) -m coverage run --branch --source attest/core -m pytest -q -p no:xdist --hypothesis-profile ci tests/core
	$(python) -m coverage report --fail-under 100

fuzz: setup ## Run the property tests with many examples, and the tests that are marked `fuzz`; for as long as it takes
	$(python) -m pytest -n $(JOBS) --hypothesis-profile fuzz -m "fuzz or (hypothesis and not parts)" $(ARGS)

bench: setup ## Measure: requests, time beside cosign, import time by command, verdicts a second
	@$(python) -m bench

docs: setup ## Write what the commands print now into the README
	$(python) -m tests.docs.console README.md

lock: ## Write requirements/*.txt from pyproject.toml; ARGS=--upgrade takes the newest of everything
	scripts/lock $(ARGS)

clean: ## Remove .venv and everything that was made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build dist .demo .sigstore
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
