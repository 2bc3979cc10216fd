"""A model family in a package of its own: two stages, one of them autoregressive. A place to start from."""
