"""Processes whose plans differ: refused in words that say what to do, and nobody else is disturbed."""

from pathlib import Path

from tests.integration.holds.client import ask, body
from tests.integration.holds.cluster import STAGES, Cluster, Gateway, eventually


async def test_a_gateway_of_another_revision(cluster: Cluster, gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "older.json"
    path.write_text(cluster.plan.model_copy(update={"revision": "00000000"}).to_json())
    older = cluster.start_gateway(plan=path)
    eventually(lambda: older.text.count("restart whichever has the older plan") >= len(STAGES), "it says why")
    assert cluster.plan.revision in older.text and "00000000" in older.text
    assert set(older.routable().values()) == {0}
    status, report = older.get("/health")
    assert status == 503 and all(name in report for name in STAGES), report
    assert cluster.metric("words", 0, "omnipipe_wire_refused_total") >= 1
    assert (await ask(gateway.port, body("not disturbed"))).text == "not disturbed"
    older.kill()


async def test_a_stage_of_another_revision_is_not_used(cluster: Cluster, gateway: Gateway, tmp_path: Path) -> None:
    """In the place of one that ended, at its address."""
    path = tmp_path / "newer.json"
    path.write_text(cluster.plan.model_copy(update={"revision": "ffffffff"}).to_json())
    cluster.stages["compose", 0].kill()
    newer = cluster.start("compose", 0, plan=path)
    refused = "this is revision 'ffffffff'"
    eventually(lambda: refused in gateway.text, "the gateway was refused")
    assert gateway.routable()["compose"] == 1
    for number in range(6):
        assert (await ask(gateway.port, body(f"number {number}"))).text == f"number {number}"
    newer.kill()
