"""What every child is called. A pipeline's name has at most 30 characters, a stage's 20, a revision 8: all of these fit
into the 63 that a Service, a label or a host name may have. No stage is called `gateway` or `plan`: `omnipipe.spec`
sees to that."""

__all__ = [
    "claim",
    "curve",
    "fetch_job",
    "fetch_policy",
    "gateway",
    "gateway_workload",
    "plan",
    "service",
    "stage",
    "stage_monitor",
    "stage_workload",
]


def stage_workload(pipeline: str, stage_name: str, revision: str) -> str:
    """A stage's Deployment, relay Service and NetworkPolicy of one cohort."""
    return f"{pipeline}-{stage_name}-{revision}"


def gateway_workload(pipeline: str, revision: str) -> str:
    """The gateway's Deployment and NetworkPolicy of one cohort."""
    return f"{pipeline}-gateway-{revision}"


def plan(pipeline: str, revision: str) -> str:
    return f"{pipeline}-plan-{revision}"


def service(pipeline: str) -> str:
    """The Service, Ingress and HTTPRoute that clients come through."""
    return pipeline


def stage(pipeline: str, stage_name: str) -> str:
    """What outlives cohorts: a stage's OmniStage, PodDisruptionBudget and HorizontalPodAutoscaler."""
    return f"{pipeline}-{stage_name}"


def gateway(pipeline: str) -> str:
    """The gateway's PodDisruptionBudget and ServiceMonitor."""
    return f"{pipeline}-gateway"


def stage_monitor(pipeline: str) -> str:
    """The PodMonitor of all stages."""
    return f"{pipeline}-stages"


def curve(pipeline: str, keys_id: str) -> str:
    return f"{pipeline}-curve-{keys_id}"


def claim(pipeline: str) -> str:
    return f"{pipeline}-model"


def fetch_job(pipeline: str, model_hash: str) -> str:
    return f"{pipeline}-fetch-{model_hash}"


def fetch_policy(pipeline: str) -> str:
    return f"{pipeline}-fetch"
