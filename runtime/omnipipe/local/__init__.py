"""The supervisor behind `omnipipe serve`: one process for each stage, one gateway, on one machine.

It starts, watches, restarts and ends processes and gathers what they print; it is never in the path of a request, so
it imports neither sockets of the wire nor the web framework. `folder` and `lifeline` are also used by the children.
"""
