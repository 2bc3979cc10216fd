# CI calls only these targets. `make help` lists them.
SHELL := /bin/bash
PY := .venv/bin/python

.PHONY: help setup demo test check unit integration cluster-tests bench generate constraints clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

setup: ## install everything the other targets need (cached outside the tree)
	@scripts/setup.sh

demo: setup ## start the small built-in pipeline and show its first streamed answer
	@$(PY) scripts/demo.py

test: check unit integration cluster-tests ## everything: the four below

check: setup ## lint, format, types, import contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -c "from importlinter.cli import lint_imports_command as main; main()"

unit: setup ## pure logic, no sockets
	$(PY) -m pytest $(ARGS) tests/unit

integration: setup ## real processes, real ZMQ, real HTTP, the real OpenAI SDKs
	$(PY) -m pytest $(ARGS) tests/integration

cluster-tests: setup ## the cluster objects, against a real API server with its controllers (built from source the first time)
	@scripts/setup-cluster.sh
	$(PY) -m pytest $(ARGS) tests/cluster

bench: setup ## the measured figures, each beside its baseline and its goal (make bench ONLY="p1 p4")
	@$(PY) -m bench $(ONLY)

generate: setup ## write what is made from the sources and committed: crds/
	@$(PY) scripts/generate.py

constraints: ## pin the newest versions that fit pyproject.toml
	@scripts/constraints.sh

clean: ## remove what was built here (the cache outside the tree stays)
	rm -rf .venv build dist node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
