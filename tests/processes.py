"""What became of a process that a test watches from outside: it may end between any two looks at it."""

import psutil

__all__ = ["cmdline", "gone"]


def gone(process: psutil.Process) -> bool:
    """It has ended, whether or not its parent has waited for it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def cmdline(process: psutil.Process) -> list[str]:
    """Empty for one that has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
