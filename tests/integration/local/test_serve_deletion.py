"""DELETE /v1/models/{model} under `omnipipe serve`: the stages of the model end, the other models go on."""

from pathlib import Path

import httpx
import psutil
import pytest
from openai import NotFoundError
from tests.integration.local.served import DEADLINE_S, ECHO, Served, all_gone, eventually
from tests.processes import cmdline, gone


@pytest.fixture
def two(tmp_path: Path) -> Path:
    manifest = tmp_path / "two.yaml"
    manifest.write_text(f"{ECHO}---\n{ECHO.replace('name: echo', 'name: other')}")
    return manifest


def stages(served: Served, pipeline: str) -> list[psutil.Process]:
    """By the plan that they were given: the first is of `echo`."""
    plan = f"plan-{['echo', 'other'].index(pipeline)}.json"
    return [child for child in served.children() if "stage" in (line := cmdline(child)) and plan in " ".join(line)]


def test_the_stages_of_a_deleted_model_end(two: Path, tmp_path: Path) -> None:
    with Served(tmp_path, two, "--port", "0") as served:
        base = served.url.removesuffix("/v1")
        assert served.ask("before", model="other") == "before"
        deleted, left = stages(served, "other"), stages(served, "echo")
        assert len(deleted) == len(left) == 5
        assert httpx.delete(f"{base}/v1/models/other", timeout=DEADLINE_S).json()["deleted"] is True
        eventually(lambda: all_gone(deleted), "the end of the stages")
        assert not any(map(gone, left))
        assert served.ask("after") == "after"
        assert "killing" not in served.out
        assert "crashed" not in served.out

        def up() -> list[str]:
            page = httpx.get(f"{base}/metrics", timeout=DEADLINE_S).text
            return [line for line in page.splitlines() if line.startswith("omnipipe_scrape_up")]

        assert len(up()) == 5
        eventually(lambda: all(line.endswith((" 1", " 1.0")) for line in up()), "every stage that is left answers")
        assert served.stop() == 0


def test_a_gateway_that_crashes_afterwards_does_not_serve_it_again(two: Path, tmp_path: Path) -> None:
    with Served(tmp_path, two, "--port", "0") as served:
        base = served.url.removesuffix("/v1")
        httpx.delete(f"{base}/v1/models/other", timeout=DEADLINE_S).raise_for_status()
        served.wait_for("other was deleted: its stages end")
        served.child("gateway").kill()
        served.wait_for("gateway ready in ", times=2)
        assert served.ask("after") == "after"
        with pytest.raises(NotFoundError):
            served.ask("after", model="other")
        assert served.stop() == 0


def test_when_every_model_is_deleted_the_run_goes_on_until_it_is_stopped(two: Path, tmp_path: Path) -> None:
    with Served(tmp_path, two, "--port", "0") as served:
        base = served.url.removesuffix("/v1")
        family = stages(served, "echo") + stages(served, "other")
        for name in ("echo", "other"):
            httpx.delete(f"{base}/v1/models/{name}", timeout=DEADLINE_S).raise_for_status()
        eventually(lambda: all_gone(family), "the end of the stages")
        assert httpx.get(f"{base}/readyz", timeout=DEADLINE_S).status_code == 503
        assert httpx.get(f"{base}/v1/models", timeout=DEADLINE_S).json()["data"] == []
        assert served.stop() == 0
