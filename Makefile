# CI calls only these targets. `make help` lists them.
SHELL := /bin/bash
PY := .venv/bin/python

.PHONY: help setup demo test check unit integration bench generate constraints clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: ## install everything the other targets need (cached outside the tree)
	@scripts/setup.sh

demo: setup ## start the small built-in pipeline and show its first streamed answer
	@$(PY) scripts/demo.py

test: check unit integration ## everything: check, unit, integration

check: setup ## lint, format, types, import contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -c "from importlinter.cli import lint_imports_command as main; main()"

unit: setup ## pure logic, no sockets
	$(PY) -m pytest tests/unit

integration: setup ## real processes, real ZMQ, real HTTP, the real OpenAI SDKs
	$(PY) -m pytest tests/integration

bench: setup ## the figures of docs/benchmarks.md, each beside its baseline
	@$(PY) -m bench

constraints: setup ## pin what is installed now
	@scripts/constraints.sh

clean: ## remove what was built here (the cache outside the tree stays)
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
