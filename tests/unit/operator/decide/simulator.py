"""A cluster in the small, for `decide`: an API server that applies and deletes as Kubernetes does, and the controllers
that matter to a pipeline. Time is a number that moves when told. It knows nothing of rollouts or revisions but labels.

- Deployments: a ReplicaSet a template, surge 1, none unavailable, status, `progressDeadlineSeconds`.
- Pods: scheduled, pulled, started and ready after scripted times, or stuck as scripted by image; a gateway pod is ready
  when every stage of its own plan has a ready pod; deleted pods go after their drain time.
- Services: which ready pods a client can reach. OmniStages: the CRD's default of one replica, `kubectl scale`.
- Jobs complete after a while. The garbage collector takes what a deleted owner leaves, at once.
"""

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from omnipipe_operator.children import labels
from omnipipe_operator.children.hashing import json_hash
from omnipipe_operator.cluster.ownership import merge_applied
from omnipipe_operator.decide import decide
from omnipipe_operator.instants import parse_instant, written_instant
from omnipipe_operator.known import Known
from omnipipe_operator.observed import Decision, GatewayReport, Note, Object, Observed, Ref, StageRoutes, ref_of
from omnipipe_operator.settings import OperatorSettings
from omnipipe_operator.writes import differences, same_status

__all__ = ["Behaviour", "Simulator", "Write", "is_ready_pod"]

SETTINGS = OperatorSettings(gateway_image="gateway:1", stage_image="stage:1")
_NAMESPACE = "lab"
_API = "omnipipe.dev/v1alpha1"


@dataclass(frozen=True)
class Behaviour:
    """What pods of an image do."""

    ready_after_s: float = 2.0
    stuck: str = ""
    """unschedulable, pull, crash: they never become ready."""


@dataclass(frozen=True)
class Write:
    verb: Literal["apply", "delete", "status"]
    ref: Ref
    value: Object | None


@dataclass
class Simulator:
    settings: OperatorSettings = SETTINGS
    now: float = 1_000_000_000.0
    drain_s: float = 6.0
    """How long a gateway pod takes to finish what it has begun."""
    answers: bool = True
    """Whether gateways answer the operator."""
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    objects: dict[Ref, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    pipeline: Object = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    watch: Callable[["Simulator", Write], None] = lambda simulator, write: None
    """Told of each of the operator's writes before it is made."""
    known: Known = field(default_factory=Known)
    """As the operator's process keeps it from one look to the next."""
    _applied: dict[Ref, Object] = field(default_factory=dict)
    _counter: int = 0

    # what users do

    def create(self, spec: Object, annotations: dict[str, str] | None = None, name: str = "p") -> None:
        metadata = {"name": name, "namespace": _NAMESPACE, "uid": f"uid-{name}", "generation": 1}
        self.pipeline = {
            "apiVersion": _API,
            "kind": "OmniPipeline",
            "metadata": {**metadata, "annotations": annotations or {}},
            "spec": spec,
        }

    def change(self, spec: Object) -> None:
        if spec != self.pipeline["spec"]:
            self.pipeline["spec"] = spec
            self.pipeline["metadata"]["generation"] += 1

    def annotate(self, key: str, value: str) -> None:
        self.pipeline["metadata"]["annotations"][key] = value

    def scale(self, stage: str, replicas: int) -> None:
        """`kubectl scale`: takes the field over from whoever had it."""
        ref = Ref(_API, "OmniStage", f"p-{stage}")
        if ref in self.objects and self.objects[ref]["spec"].get("replicas") != replicas:
            self.objects[ref]["spec"]["replicas"] = replicas
            self.objects[ref]["metadata"]["generation"] += 1
            self._applied[ref]["spec"].pop("replicas", None)

    def remove(self, ref: Ref) -> None:
        """`kubectl delete`, and what the garbage collector does then."""
        value = self.objects.pop(ref, None)
        self._applied.pop(ref, None)
        if value is not None and value["kind"] == "Deployment":
            for pod in self._pods_of(value):
                self._end(pod)

    # what the operator does

    def observe(self) -> Observed:
        """Not copied: it is as of now, and only as of now."""
        return Observed(
            pipeline=self.pipeline,
            children=tuple(value for _, value in sorted(self.objects.items())),
            pods=tuple(pod for _, pod in sorted(self.pods.items())),
            gateways=tuple(self._reports()) if self.answers else (),
            now=self.now,
        )

    def decide(self) -> Decision:
        return decide(self.observe(), self.settings, self.known)

    def reconcile(self, most_writes: int | None = None) -> int:
        """How many writes there were. The operator is killed after `most_writes`."""
        decision = self.decide()
        writes = list(self.writes_of(decision))[:most_writes]
        for write in writes:
            self.watch(self, write)
            self._carry_out(write)
        if most_writes is None or len(writes) < most_writes:
            self.notes.extend(decision.notes)
        return len(writes)

    def writes_of(self, decision: Decision) -> Iterator[Write]:
        """Those that would change something, in their order."""
        for value in decision.apply:
            live = self.objects.get(ref_of(value))
            if live is None or differences(value, live):
                yield Write("apply", ref_of(value), value)
        for name, status in decision.stage_statuses.items():
            ref = Ref(_API, "OmniStage", name)
            if ref in self.objects and not same_status(status, self.objects[ref].get("status")):
                yield Write("status", ref, status)
        yield from (Write("delete", ref, None) for ref in decision.delete if ref in self.objects)
        if decision.status is not None and not same_status(decision.status, self.pipeline.get("status")):
            yield Write("status", Ref(_API, "OmniPipeline", "p"), decision.status)

    def _carry_out(self, write: Write) -> None:
        match write.verb:
            case "apply":
                self.apply(write.value or {})
            case "delete":
                self.remove(write.ref)
            case "status":
                target = self.pipeline if write.ref.kind == "OmniPipeline" else self.objects[write.ref]
                target["status"] = copy.deepcopy(write.value)

    def apply(self, value: Object) -> None:
        ref = ref_of(value)
        value = copy.deepcopy(value)
        live = self.objects.get(ref)
        merged = merge_applied(value, self._applied.get(ref), live)
        self._applied[ref] = value
        if live is None:
            self._counter += 1
            stamp = written_instant(self.now)
            merged["metadata"] |= {"uid": f"uid-{self._counter}", "generation": 1, "creationTimestamp": stamp}
        elif merged.get("spec") != live.get("spec"):
            merged["metadata"]["generation"] = live["metadata"]["generation"] + 1
        if ref.kind == "OmniStage":
            merged["spec"].setdefault("replicas", 1)
        if ref.kind == "Secret":
            merged["data"] = dict.fromkeys(merged["data"], "")
        self.objects[ref] = merged

    # what the cluster does

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self._turn()

    def settle(self, seconds: float = 40.0, step_s: float = 2.0) -> None:
        """Time passes, and the operator looks at every change."""
        end = self.now + seconds
        while self.now < end:
            self.reconcile()
            self.pass_time(step_s)
        for _ in range(20):
            if self.reconcile() == 0:
                return
            self._turn()
        raise AssertionError("the operator goes on writing")

    def _turn(self) -> None:
        for name, pod in sorted(self.pods.items()):
            ends = pod["x-ends"]
            if ends is not None and self.now >= ends:
                del self.pods[name]
        for ref, value in sorted(self.objects.items()):
            if ref.kind == "Deployment":
                self._roll(value)
            elif ref.kind == "Job":
                self._run(value)
        for pod in sorted(self.pods.values(), key=lambda one: labels.component_of(one) or "", reverse=True):
            self._live(pod)  # stages before gateways
        for ref, value in sorted(self.objects.items()):
            if ref.kind == "Deployment":
                self._count(value)

    def _roll(self, deployment: Object) -> None:
        """One step of a rolling update with maxSurge 1 and maxUnavailable 0."""
        desired = deployment["spec"]["replicas"]
        template = json_hash(deployment["spec"]["template"])
        alive = [pod for pod in self._pods_of(deployment) if pod["x-ends"] is None]
        new = [pod for pod in alive if pod["x-template"] == template]
        old = [pod for pod in alive if pod["x-template"] != template]
        for _ in range(min(desired - len(new), desired + (1 if old else 0) - len(alive))):
            self._start(deployment, template)
        for pod in new[desired:]:
            self._end(pod)
        ready = sum(map(is_ready_pod, alive))
        for pod in sorted(old, key=is_ready_pod):
            if not is_ready_pod(pod):
                self._end(pod)
            elif ready > desired or desired == 0:
                ready -= 1
                self._end(pod)

    def _start(self, deployment: Object, template: str) -> None:
        self._counter += 1
        workload = deployment["metadata"]["name"]
        name = f"{workload}-{template}-{self._counter}"
        owner = {"kind": "ReplicaSet", "name": f"{workload}-{template}", "controller": True, "uid": workload}
        self.pods[name] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": _NAMESPACE,
                "uid": name,
                "creationTimestamp": written_instant(self.now),
                "labels": dict(deployment["spec"]["template"]["metadata"]["labels"]),
                "ownerReferences": [owner],
            },
            "spec": copy.deepcopy(deployment["spec"]["template"]["spec"]),
            "status": {"phase": "Pending"},
            "x-template": template,
            "x-workload": workload,
            "x-born": self.now,
            "x-ends": None,
        }

    def _end(self, pod: Object) -> None:
        if pod["x-ends"] is None:
            gateway = labels.component_of(pod) == "gateway"
            pod["x-ends"] = self.now + (self.drain_s if gateway and is_ready_pod(pod) else 1.0)
            pod["metadata"]["deletionTimestamp"] = written_instant(self.now + 600)

    def _live(self, pod: Object) -> None:
        image = pod["spec"]["containers"][0]["image"]
        behaviour = self.behaviours.get(image, Behaviour())
        name = pod["spec"]["containers"][0]["name"]
        container: Object = {"name": name, "ready": False, "restartCount": 0, "state": {}}
        pod["status"] = {"phase": "Pending", "conditions": [], "containerStatuses": [container]}
        match behaviour.stuck:
            case "unschedulable":
                scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
                pod["status"] = {"phase": "Pending", "conditions": [{**scheduled, "message": "0/3 nodes: no GPU"}]}
                return
            case "pull":
                container["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": f'pulling "{image}"'}}
                return
            case "crash":
                container["restartCount"] = 3
                container["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
                container["lastState"] = {"terminated": {"exitCode": 13, "reason": "Error"}}
                return
        started = self.now >= pod["x-born"] + behaviour.ready_after_s
        ready = started and (labels.component_of(pod) != "gateway" or self._reaches_all(pod))
        container |= {"ready": ready, "started": started, "state": {"running": {}}}
        ready_status = "True" if ready else "False"
        pod["status"] |= {"phase": "Running", "conditions": [{"type": "Ready", "status": ready_status}]}

    def _reaches_all(self, gateway: Object) -> bool:
        return all(row.routable for row in self._rows(gateway).values())

    def _rows(self, gateway: Object) -> dict[str, StageRoutes]:
        revision = labels.revision_of(gateway)
        plan = self.objects.get(Ref("v1", "ConfigMap", f"p-plan-{revision}"))
        stages = [stage["name"] for stage in json.loads(plan["data"]["plan.json"])["stages"]] if plan else ["?"]
        rows = {}
        for stage in stages:
            mine = [p for p in self.pods.values() if labels.stage_of(p) == stage and labels.revision_of(p) == revision]
            routable = sum(is_ready_pod(pod) or bool(pod["x-ends"]) for pod in mine)
            rows[stage] = StageRoutes(len(mine), sum(map(is_ready_pod, mine)) or min(routable, 1), 0, 0)
        return rows

    def _reports(self) -> Iterable[GatewayReport]:
        for name, pod in sorted(self.pods.items()):
            if labels.component_of(pod) == "gateway" and pod["status"]["phase"] == "Running":
                rows = self._rows(pod)
                ready = all(row.routable for row in rows.values())
                yield GatewayReport(name, labels.revision_of(pod) or "", ready, bool(pod["x-ends"]), 0, rows)

    def _run(self, job: Object) -> None:
        born = parse_instant(job["metadata"]["creationTimestamp"]) or 0.0
        if self.now >= born + 4:
            job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}

    def _count(self, deployment: Object) -> None:
        template = json_hash(deployment["spec"]["template"])
        alive = [pod for pod in self._pods_of(deployment) if pod["x-ends"] is None]
        new = [pod for pod in alive if pod["x-template"] == template]
        desired = deployment["spec"]["replicas"]
        available = sum(map(is_ready_pod, alive))
        before = deployment.get("status") or {}
        status: Object = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(alive),
            "updatedReplicas": len(new),
            "availableReplicas": available,
        }
        complete = len(new) == len(alive) == desired == available
        status["conditions"] = [self._progress(deployment, before, status, template, complete=complete)]
        deployment["status"] = status

    def _progress(self, live: Object, before: Object, status: Object, template: str, *, complete: bool) -> Object:
        known = (before.get("conditions") or [{}])[0]
        counts = ("replicas", "updatedReplicas", "availableReplicas")
        moved = any(before.get(name) != status[name] for name in counts) or known.get("x-template") != template
        at = written_instant(self.now) if moved else known["lastUpdateTime"]
        reason = known.get("reason") if known.get("x-template") == template else None
        if complete:
            reason = "NewReplicaSetAvailable"
        elif reason != "NewReplicaSetAvailable":
            late = self.now - (parse_instant(at) or 0.0) >= live["spec"]["progressDeadlineSeconds"]
            reason = "ProgressDeadlineExceeded" if late else "ReplicaSetUpdated"
        return {"type": "Progressing", "status": "True", "reason": reason, "lastUpdateTime": at, "x-template": template}

    def _pods_of(self, deployment: Object) -> list[Object]:
        workload = deployment["metadata"]["name"]
        return [pod for _, pod in sorted(self.pods.items()) if pod["x-workload"] == workload]

    # what a test asks

    @property
    def selected(self) -> str | None:
        service = self.objects.get(Ref("v1", "Service", "p"))
        return service["spec"]["selector"].get(labels.REVISION) if service else None

    @property
    def endpoints(self) -> list[Object]:
        """Gateway pods that a client's connection can go to."""
        return [pod for pod in self.pods.values() if self._is_gateway(pod, self.selected) and is_ready_pod(pod)]

    def gateway_pods(self, revision: str | None) -> list[Object]:
        return [pod for pod in self.pods.values() if self._is_gateway(pod, revision)]

    @property
    def revisions(self) -> set[str]:
        """Of the cohorts that have objects."""
        return {labels.revision_of(value) or "" for value in self.objects.values()} - {""}

    def of_revision(self, revision: str) -> dict[Ref, Object]:
        return {ref: value for ref, value in self.objects.items() if labels.revision_of(value) == revision}

    def condition(self, kind: str) -> Object:
        conditions: list[Object] = self.pipeline["status"]["conditions"]
        return next(condition for condition in conditions if condition["type"] == kind)

    def _is_gateway(self, pod: Object, revision: str | None) -> bool:
        return labels.component_of(pod) == "gateway" and labels.revision_of(pod) == revision


def is_ready_pod(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return pod["x-ends"] is None and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
