"""What /metrics of the operator counts."""

from prometheus_client.parser import text_string_to_metric_families
from tests.unit.operator.shell.test_operator_reconcile import CONFIG, KEY, Rig

from omnipipe_operator.carry import Carrier
from omnipipe_operator.look import Memory
from omnipipe_operator.metrics import Metrics
from omnipipe_operator.observed import Decision


def samples(metrics: Metrics) -> dict[str, float]:
    """`name{label=value,...}` without the operator's prefix, for what is not a bucket or a time of creation."""
    found = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for one in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
            found[f"{one.name.removeprefix('omnipipe_operator_')}{{{labels}}}"] = one.value
    return found


def test_calls_that_the_server_refused_or_did_not_answer_are_errors() -> None:
    metrics = Metrics()
    for code in (200, 201, 304, 404, 409, 0):
        metrics.called("get", "pods", code)

    found = samples(metrics)

    assert found["api_requests_total{code=200,resource=pods,verb=get}"] == 1
    errors = {name for name in found if name.startswith("api_errors_total")}
    assert errors == {f"api_errors_total{{code={code}}}" for code in (404, 409, 0)}


def test_events_are_counted_by_kind_and_type() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.heard("Pod", "MODIFIED")

    assert samples(metrics)["watch_events_total{kind=Pod,type=MODIFIED}"] == 2


def test_pipelines_and_the_queue_are_counted_when_somebody_asks() -> None:
    metrics = Metrics()
    counts = {("Ready", "True"): 3, ("Ready", "False"): 1}
    metrics.watch(lambda: 5.0, lambda: 1.5, lambda: counts)

    found = samples(metrics)
    assert (found["queue_depth{}"], found["queue_oldest_seconds{}"]) == (5.0, 1.5)
    assert found["pipelines{condition=Ready,status=True}"] == 3
    counts["Ready", "False"] = 0
    assert samples(metrics)["pipelines{condition=Ready,status=False}"] == 0


def test_every_way_to_end_a_look_is_there_from_the_start() -> None:
    """So that a rate over them is 0 and not unknown."""
    found = samples(Metrics())

    assert [found[f"reconcile_total{{result={result}}}"] for result in ("settled", "changed", "stale", "error")] == [
        0
    ] * 4


async def test_writes_are_told_by_kind_and_verb() -> None:
    told: list[tuple[str, str]] = []
    async with Rig() as rig:
        carrier = Carrier(rig.cluster, rig.cache, rig.permit, lambda *write: told.append(write))
        pipeline = rig.cache.pipeline(KEY)
        assert pipeline is not None
        rig.decide(await rig.reconciler._looker.look(KEY, pipeline, Memory()))
        for data in ({"x": "1"}, {"x": "2"}):
            rig.wanted = {"a": data}
            assert rig.seen is not None
            await carrier.carry_out(pipeline, rig.decide(rig.seen), Memory())
        [child] = rig.cache.children(KEY)
        rig.wanted, rig.unwanted = {}, ["a"]
        await rig.sync()
        seen = await rig.reconciler._looker.look(KEY, pipeline, Memory())
        decision = rig.decide(seen)
        await carrier.carry_out(pipeline, Decision(apply=(), delete=decision.delete), Memory())

    assert child["kind"] == CONFIG.name
    assert told == [
        ("ConfigMap", "create"), ("OmniPipeline", "status"),
        ("ConfigMap", "apply"), ("OmniPipeline", "status"),
        ("ConfigMap", "delete"),
    ]  # fmt: skip
