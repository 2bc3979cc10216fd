"""What ends the operator's process, beside bugs. What the cluster refuses is in `cluster/errors.py`.

WatchEnded      the watch layer stopped; a restart lists everything anew
LeaseLost       another may lead now: nothing more may be written
StartFailed     it cannot begin: no CRDs, a port that is taken, a certificate that cannot be read
"""

from omnipipe.errors import OmnipipeError

__all__ = ["LeaseLost", "StartFailed", "WatchEnded"]


class WatchEnded(OmnipipeError):
    pass


class LeaseLost(OmnipipeError):
    pass


class StartFailed(OmnipipeError):
    pass
