"""What must hold at each single write of the operator, whatever happened before."""

from dataclasses import dataclass, field

from tests.unit.operator.decide.simulator import Simulator, Write, is_ready_pod

from omnipipe_operator.children import labels

__all__ = ["Rules"]


@dataclass
class Rules:
    """Hang it on `Simulator.watch`, and let it `look` whenever the cluster has moved."""

    served: set[str] = field(default_factory=set)
    """Revisions that clients have been able to reach."""

    def look(self, lab: Simulator) -> None:
        if lab.endpoints:
            self.served.add(lab.selected or "")

    def __call__(self, lab: Simulator, write: Write) -> None:
        self.look(lab)
        spec = lab.pipeline["spec"]
        assert not spec.get("paused") or write.verb == "status", f"{write} while paused"
        live = lab.objects.get(write.ref)
        revision = labels.revision_of(live) if live else None
        keeps = spec["rollout"]["strategy"] == "Surge" and not spec.get("suspend")
        if keeps and lab.endpoints and revision == lab.selected:
            assert write.verb != "delete" or write.ref.kind == "NetworkPolicy", f"{write} of the cohort that serves"
        if keeps and lab.endpoints and write.verb == "apply" and write.ref.kind == "Deployment" and live:
            assert (write.value or {})["spec"]["replicas"] > 0, f"{write.ref} is scaled to nothing"
        if write.ref.kind == "Service" and write.ref.name == "p" and write.value and lab.endpoints:
            self._switched(lab, write.value["spec"]["selector"][labels.REVISION])
        is_stage = live is not None and write.ref.kind == "Deployment" and labels.stage_of(live)
        if write.verb == "delete" and is_stage and revision in self.served:
            assert not lab.gateway_pods(revision), f"{write.ref} goes before its gateway"

    def _switched(self, lab: Simulator, revision: str) -> None:
        if revision != lab.selected:
            ready = [pod for pod in lab.gateway_pods(revision) if is_ready_pod(pod)]
            assert ready, f"clients are turned from {lab.selected} to {revision}, which cannot serve"
