"""A real single-node Kubernetes on this machine, without a container engine, in a network namespace of its own; and the
images that run on it. `make cluster` and tests/e2e use the same code; docs/cluster-on-one-machine.md tells the story.

Standard library only: it also runs before anything is installed.
"""
