"""The kopf operator. It meets the runtime only in `omnipipe.spec` and the families' static graphs."""
