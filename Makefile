# CI calls only these targets. `make help` lists them.
SHELL := /bin/bash
PY := .venv/bin/python

.PHONY: help setup demo test check unit integration cluster-tests e2e e2e-models gpu-check cluster cluster-down images \
	bench generate constraints clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

setup: ## install everything the other targets need (cached outside the tree)
	@scripts/setup.sh

demo: setup ## ask the two small models that ship with us, one of them by a picture that it answers in sound
	@$(PY) scripts/demo.py

test: check unit integration cluster-tests e2e ## everything: the five below

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

e2e: setup ## helm install, kubectl apply, pods run, an OpenAI client gets its answer (a cluster of its own, needs root)
	@scripts/setup-cluster.sh node
	$(PY) -m pytest $(ARGS) tests/e2e

e2e-models: setup ## models in pods of the stage image as it is shipped, torch included (12 GB of disk, some minutes)
	@scripts/setup-cluster.sh node
	OMNIPIPE_TORCH_IMAGE=1 $(PY) -m pytest $(ARGS) tests/e2e/test_models.py

gpu-check: setup ## what only a CUDA device can show: kernel, graphs, full memory, and P5 there
	$(PY) -m pytest $(ARGS) tests/gpu
	$(PY) -m bench.p5_engine --device cuda

cluster: setup ## a real single-node Kubernetes on this machine, without a container engine (Linux, root)
	@scripts/setup-cluster.sh node
	@$(PY) -m scripts.cluster up

cluster-down: setup ## remove it without a trace
	@$(PY) -m scripts.cluster down

images: setup ## build the images (make images ONLY="stage" BASE=my/python:3.11 TAG=dev)
	@$(PY) -m scripts.cluster images $(ONLY) $(if $(BASE),--base=$(BASE)) $(if $(TAG),--tag=$(TAG))

bench: setup ## the measured figures, each beside its baseline and its goal (make bench ONLY="p1 p4")
	@$(PY) -m bench $(ONLY)

generate: setup ## write what is made from the sources and committed: crds/, and the copy and dashboards in charts/
	@$(PY) -m scripts.generate

constraints: ## pin the newest versions that fit pyproject.toml
	@scripts/constraints.sh

clean: ## remove what was built here (the cache outside the tree stays)
	rm -rf .venv build dist node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
