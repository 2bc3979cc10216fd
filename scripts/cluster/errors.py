"""What goes wrong with the machine's cluster.

ClusterError
└── CannotRun   this machine has no means for it, and which one; tests are skipped with these words
"""

__all__ = ["CannotRun", "ClusterError"]


class ClusterError(Exception):
    """A step that failed, in words that say which and why."""


class CannotRun(ClusterError):
    """Not Linux, not root, a program is missing: one line."""
