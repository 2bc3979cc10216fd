"""What can go wrong between us and the API server.

ClusterError          one call failed; `code` is the server's, 0 when it did not answer
├── NotFound          404: the object is not there
├── NoSuchKind        404: its kind is not; also, for a moment, while an API server starts
├── Conflict          409: somebody was faster, or a precondition does not hold
├── Gone              410: this place in the history is no longer kept; list again
├── Invalid           400, 422: the server refuses what we sent; sending it again will not help
├── Forbidden         401, 403: names the verb and the resource, as a Role has them
├── NamespaceEnding   403: nothing new is made in a namespace that is being deleted
└── Unavailable       no answer in time, or 5xx; try again
    └── Throttled     429: try again after `retry_after_s`
AccessError           no way to the cluster: no kubeconfig, or one that cannot be used
"""

from omnipipe.errors import OmnipipeError

__all__ = [
    "AccessError", "ClusterError", "Conflict", "Forbidden", "Gone", "Invalid", "NamespaceEnding", "NoSuchKind",
    "NotFound", "Throttled", "Unavailable",
]  # fmt: skip


class AccessError(OmnipipeError):
    pass


class ClusterError(OmnipipeError):
    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class NotFound(ClusterError):
    pass


class NoSuchKind(ClusterError):
    pass


class Conflict(ClusterError):
    pass


class Gone(ClusterError):
    pass


class Invalid(ClusterError):
    pass


class Forbidden(ClusterError):
    pass


class NamespaceEnding(ClusterError):
    pass


class Unavailable(ClusterError):
    def __init__(self, message: str, code: int = 0, retry_after_s: float = 0.0) -> None:
        super().__init__(message, code)
        self.retry_after_s = retry_after_s


class Throttled(Unavailable):
    pass
