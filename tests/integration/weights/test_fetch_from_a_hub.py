"""`omnipipe fetch` and `resolve` as processes, against a real hub server on loopback."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.integration.weights.hub_server import Hub, run_hub
from tests.integration.weights.models import safetensors, sharded_model

SHARD = 3 << 20
LARGE = 12 << 20
"""More than the 10 MiB that the hub library writes at a time: what it has not written it cannot go on from."""
NAME = "hf://acme/small"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with run_hub() as server:
        server.repositories["acme/small"] = {"main": sharded_model(tmp_path / "repository", SHARD)}
        yield server


@pytest.fixture
def environ(hub: Hub, tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "OMNIPIPE_", "HTTP", "http"))}
    return {**kept, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}


def start(environ: Mapping[str, str], *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "omnipipe", "fetch", *map(str, words)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def fetch(environ: Mapping[str, str], *words: object) -> tuple[int, str, str]:
    process = start(environ, *words)
    out, err = process.communicate(timeout=120)
    return process.returncode, out.strip(), err.strip()


def same_weights(folder: Path, hub: Hub, revision: str = "main") -> bool:
    source = hub.repositories["acme/small"][revision]
    files = sorted(source.glob("*.safetensors"))
    return all((folder / file.name).read_bytes() == file.read_bytes() for file in files)


def large(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["acme/small"]["main"] = sharded_model(tmp_path / "large", LARGE)


def test_a_model_is_fetched_whole_once_and_found_offline(hub: Hub, environ: dict[str, str], tmp_path: Path) -> None:
    models = tmp_path / "models"
    code, out, err = fetch(environ, NAME, "--into", models)
    assert (code, out) == (0, str(models / "hf" / "acme--small" / "main")), err
    assert same_weights(Path(out), hub)
    assert not (Path(out) / "pytorch_model.bin").exists()
    assert not (Path(out) / ".cache").exists()
    assert "fetching hf://acme/small: 6.0 MiB" in err
    asked = len(hub.requests)
    assert fetch(environ, NAME, "--into", models)[:2] == (0, out)
    assert len(hub.requests) == asked
    stage = {**environ, "OMNIPIPE_MODELS": str(models), "HF_HUB_OFFLINE": "1"}
    assert fetch(stage, NAME)[:2] == (0, out)
    assert len(hub.requests) == asked


def test_a_pinned_revision_is_the_one_that_comes(hub: Hub, environ: dict[str, str], tmp_path: Path) -> None:
    hub.repositories["acme/small"]["v2/beta"] = sharded_model(tmp_path / "second", 1 << 20)
    code, out, err = fetch(environ, f"{NAME}@v2/beta", "--into", tmp_path / "models")
    assert code == 0, err
    assert Path(out).name == "v2%2Fbeta"
    assert same_weights(Path(out), hub, "v2/beta")


def test_without_into_the_hubs_own_cache_is_used_and_works_offline(hub: Hub, environ: dict[str, str]) -> None:
    code, out, err = fetch(environ, NAME)
    assert code == 0, err
    assert same_weights(Path(out), hub)
    assert fetch({**environ, "HF_HUB_OFFLINE": "1"}, NAME)[:2] == (0, out)


def test_a_cut_connection_goes_on_where_it_was_cut(hub: Hub, environ: dict[str, str], tmp_path: Path) -> None:
    large(hub, tmp_path)
    hub.cut_after, hub.cuts = 11 << 20, 1
    code, out, err = fetch(environ, NAME, "--into", tmp_path / "models")
    assert code == 0, err
    assert same_weights(Path(out), hub)
    assert len(hub.weight_ranges()) == 1
    assert hub.weight_bytes < 2 * LARGE + (2 << 20)


def test_a_killed_fetch_leaves_nothing_half_and_the_next_keeps_what_was_whole(
    hub: Hub, environ: dict[str, str], tmp_path: Path
) -> None:
    models, repository = tmp_path / "models", hub.repositories["acme/small"]["main"]
    first, second = sorted(file.name for file in repository.glob("*.safetensors"))
    (repository / second).write_bytes(safetensors(5, LARGE))
    hub.cut_after, hub.cuts = SHARD * 2, 1000
    killed = start(environ, NAME, "--into", models)
    until = time.monotonic() + 120
    while not list((models / ".partial").glob(f"*/{first}")) and time.monotonic() < until:
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.02)
    killed.kill()
    killed.communicate(timeout=60)
    assert not (models / "hf").exists()
    code, _, err = fetch({**environ, "OMNIPIPE_MODELS": str(models), "HF_HUB_OFFLINE": "1"}, NAME)
    assert (code, err) == (1, f"omnipipe: {NAME}: not on this machine, or not whole, and HF_HUB_OFFLINE is set")
    hub.cuts = 0
    hub.requests.clear()
    code, out, err = fetch(environ, NAME, "--into", models)
    assert code == 0, err
    assert same_weights(Path(out), hub)
    fetched = [path.rpartition("/")[2] for method, path, _ in hub.requests if method == "GET"]
    assert first not in fetched
    assert second in fetched
    assert not [file for file in models.rglob("*") if file.suffix == ".incomplete"]


def test_two_fetchers_share_one_download(hub: Hub, environ: dict[str, str], tmp_path: Path) -> None:
    both = [start(environ, NAME, "--into", tmp_path / "models") for _ in range(2)]
    ends = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert ends[0][0] == ends[1][0]
    assert hub.weight_bytes == sum(
        file.stat().st_size for file in hub.repositories["acme/small"]["main"].glob("*.safetensors")
    )


def test_a_private_model_wants_a_token(hub: Hub, environ: dict[str, str], tmp_path: Path) -> None:
    hub.token = "hf_right"
    code, _, err = fetch(environ, NAME, "--into", tmp_path / "models")
    assert code == 1
    assert err.endswith(
        f"{hub.url} says 401: no such public model; for a private one set HF_TOKEN to a token that may read it"
    )
    assert len(err.splitlines()) == 1
    assert fetch({**environ, "HF_TOKEN": "hf_right"}, NAME, "--into", tmp_path / "models")[0] == 0
    (tmp_path / "token").write_text("hf_right\n")
    from_file = {**environ, "HF_TOKEN_PATH": str(tmp_path / "token")}
    assert fetch(from_file, NAME, "--into", tmp_path / "others")[0] == 0


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("hf://acme/smal", "hf://acme/smal: {hub} has no such model; the name is owner/name, as in its address"),
        ("hf://acme/small@v9", "hf://acme/small@v9: the model has no such revision"),
    ],
)
def test_what_the_hub_does_not_have_is_one_line(
    hub: Hub, environ: dict[str, str], tmp_path: Path, source: str, says: str
) -> None:
    code, out, err = fetch(environ, source, "--into", tmp_path / "models")
    assert (code, out, err) == (1, "", "omnipipe: " + says.format(hub=hub.url))


def test_a_hub_that_is_not_there_is_one_line(hub: Hub, environ: dict[str, str], tmp_path: Path) -> None:
    gone = {**environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
    code, _, err = fetch(gone, NAME, "--into", tmp_path / "models")
    assert (code, err) == (
        3,
        f"omnipipe: {NAME}: http://127.0.0.1:9 cannot be reached, and there is no whole copy here",
    )


def test_a_model_that_is_broken_on_the_hub_is_refused_and_forgotten(
    hub: Hub, environ: dict[str, str], tmp_path: Path
) -> None:
    shard = hub.repositories["acme/small"]["main"] / "model-00002-of-00002.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    models = tmp_path / "models"
    code, _, err = fetch(environ, NAME, "--into", models)
    assert code == 1
    assert f"{NAME}: {shard.name} is cut off: {len(whole) - 100} bytes, its header says {len(whole)}" in err
    shard.write_bytes(whole)
    code, out, err = fetch(environ, NAME, "--into", models)
    assert code == 0, err
    assert same_weights(Path(out), hub)


def test_a_model_that_is_too_large_is_refused_before_the_first_byte(
    hub: Hub, environ: dict[str, str], tmp_path: Path
) -> None:
    hub.claimed_bytes = 1 << 50
    code, _, err = fetch(environ, NAME, "--into", tmp_path / "models")
    assert code == 3
    assert err.startswith(f"omnipipe: {NAME}: needs 2048.0 TiB, and {tmp_path}")
    assert hub.weight_bytes == 0
