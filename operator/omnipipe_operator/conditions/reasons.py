"""Every reason that a condition or a stage may carry. docs/troubleshooting.md has a line for each; a test compares."""

from enum import StrEnum
from typing import Final

__all__ = ["TROUBLE", "Reason"]


class Reason(StrEnum):
    # Accepted
    VALID = "Valid"
    INVALID = "Invalid"
    NOT_LOADABLE = "NotLoadable"
    # ModelReady
    NO_WEIGHTS_NEEDED = "NoWeightsNeeded"
    MODEL_AVAILABLE = "ModelAvailable"
    WAITING_FOR_MODEL = "WaitingForModel"
    FETCH_FAILED = "FetchFailed"
    CLAIM_MISSING = "ClaimMissing"
    # Progressing
    ROLLING_OUT = "RollingOut"
    ROLLED_OUT = "RolledOut"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    PAUSED = "Paused"
    SUSPENDED = "Suspended"
    # Ready
    ALL_STAGES_ROUTABLE = "AllStagesRoutable"
    NOT_ROUTABLE = "NotRoutable"
    NO_GATEWAY = "NoGateway"
    # Degraded, when nothing is
    AS_EXPECTED = "AsExpected"
    NAME_CONFLICT = "NameConflict"
    APPLY_REFUSED = "ApplyRefused"
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_REFUSED = "PodRefused"
    # of pods
    UNSCHEDULABLE = "Unschedulable"
    SCHEDULING_GATED = "SchedulingGated"
    IMAGE_PULL = "ImagePull"
    CONTAINER_CONFIG = "ContainerConfig"
    VOLUME_MOUNT = "VolumeMount"
    SANDBOX = "PodSandbox"
    CRASH_LOOP = "CrashLoop"
    OOM_KILLED = "OOMKilled"
    EVICTED = "Evicted"
    PREEMPTED = "Preempted"
    POD_FAILED = "PodFailed"
    STARTING = "Starting"
    NOT_READY = "NotReady"


TROUBLE: Final = (
    Reason.NAME_CONFLICT, Reason.APPLY_REFUSED, Reason.QUOTA_EXCEEDED, Reason.POD_REFUSED, Reason.CLAIM_MISSING,
    Reason.IMAGE_PULL, Reason.CONTAINER_CONFIG, Reason.OOM_KILLED, Reason.CRASH_LOOP, Reason.FETCH_FAILED,
    Reason.VOLUME_MOUNT, Reason.UNSCHEDULABLE, Reason.SANDBOX, Reason.PREEMPTED, Reason.EVICTED, Reason.POD_FAILED,
)  # fmt: skip
"""What makes a pipeline Degraded. Of several, the first in this order is the one that is told: what somebody has to
mend comes before what may mend itself."""
