"""What rendering and deciding need to know of this operator, beside the pipeline. What the process itself needs (its
namespaces, ports, lease) is in `process_settings`."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["OperatorSettings", "PullPolicy"]

PullPolicy = Literal["Always", "IfNotPresent", "Never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    gateway_image: str
    """For gateways whose manifest names none. A cohort keeps the one it began with."""
    stage_image: str
    """For stages whose manifest names none, and for pods that fetch models. A cohort keeps the one it began with."""
    image_pull_policy: PullPolicy | None = None
    """Where the manifest says nothing; None: the cluster's own default."""
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets in the pipelines' namespaces, beside those of the manifest."""
    allow_host_path: bool = False
    """Whether `file://` sources may mount a folder of the node. Off: whoever may write a manifest could otherwise read
    any file of any node that this user id can read."""
    cluster_domain: str = ""
    """Appended to the names of Services. Empty: the pods' own DNS search list completes them."""
    operator_namespace: str = ""
    """Where this operator runs: its pods are let in to gateways that only certain clients may reach. Empty: it is not
    in the cluster, or nobody told."""
    termination_grace_s: int = 610
    """What a pod gets to finish its requests, where the manifest says nothing: as long as a request may take by
    default, and 10 s to leave. A pod without requests leaves at once."""
    settle_s: float = 8.0
    """How long the old cohort's gateway stays after the client Service was turned to the new one: until then some node
    may still send new connections to it. Endpoint changes reach kube-proxies within a second or two."""
