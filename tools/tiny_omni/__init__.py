"""The recipe of `builtin://tiny-omni`: synthetic data, training, evaluation. Not part of the package."""
