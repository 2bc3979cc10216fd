"""Omnipipe: any-to-any models served as pipelines of stages.

The package root holds the version and nothing else: importing `omnipipe` must stay free of
work, so that a stage, a gateway and the command line each load only what they use.
"""

__all__ = ["__version__"]

__version__ = "0.1.0.dev0"
