"""The cluster as the operator uses it: a port, the adapter over `kubernetes.aio`, and an API server in memory.

Nothing outside this package imports `kubernetes`.
"""
