"""The recipe of `builtin://tiny-chat`: synthetic data, training, evaluation. Not part of the package."""
