"""From a source URL to a folder, without a hub."""

import json
import logging
from pathlib import Path

import pytest

from omnipipe.spec.sources import parse_source
from omnipipe.weights import WeightsSettings, resolve
from omnipipe.weights.errors import BrokenModel, ModelNotFound, UnsupportedSource, WeightsError
from omnipipe.weights.progress import Counted, LogLines, human
from omnipipe.weights.resolve import fetch
from omnipipe.weights.shelf import Shelf

NONE = WeightsSettings()


def a_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    header = json.dumps({"w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"x")
    return folder


def test_a_file_source_is_the_folder_itself(tmp_path: Path) -> None:
    folder = a_model(tmp_path / "m")
    assert resolve(f"file://{folder}", settings=NONE) == folder


def test_a_builtin_model_is_whole_and_can_be_copied(tmp_path: Path) -> None:
    folder = resolve("builtin://tiny-chat", settings=NONE)
    assert (folder / "tokenizer.json").is_file()
    copied = fetch("builtin://tiny-chat", tmp_path, settings=NONE, report=LogLines())
    assert copied == tmp_path / "builtin" / "tiny-chat" / "main"
    assert {file.name for file in copied.iterdir()} == {file.name for file in folder.iterdir()}
    assert resolve("builtin://tiny-chat", settings=WeightsSettings(models_dir=tmp_path)) == copied


def test_an_unknown_builtin_model_is_told_what_there_is() -> None:
    with pytest.raises(ModelNotFound, match='no such model; did you mean "tiny-chat"'):
        resolve("builtin://tiny-chta", settings=NONE)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("s3://bucket/model", "s3:// cannot be loaded yet"),
        ("oci://registry/model:1", "oci:// cannot be loaded yet"),
        ("pvc://claim/model", "on a cluster only"),
        ("http://x", "unknown source scheme"),
        ("hf://justaname", "must be hf://owner/name"),
    ],
)
def test_what_cannot_be_loaded_is_refused(source: str, says: str) -> None:
    with pytest.raises(UnsupportedSource, match=says) as caught:
        resolve(source, settings=NONE)
    assert str(caught.value).startswith(source)


def test_the_shelf_is_looked_into_first_and_keeps_revisions_apart(tmp_path: Path) -> None:
    settings = WeightsSettings(models_dir=tmp_path, offline=True)
    one = a_model(tmp_path / "hf" / "acme--small" / "main")
    two = a_model(tmp_path / "hf" / "acme--small" / "refs%2Fpr%2F1")
    assert resolve("hf://acme/small", settings=settings) == one
    assert resolve("hf://acme/small@refs/pr/1", settings=settings) == two
    (two / "model.safetensors").write_bytes(b"")
    with pytest.raises(BrokenModel, match="hf://acme/small@refs/pr/1: model"):
        resolve("hf://acme/small@refs/pr/1", settings=settings)


def test_a_shelf_has_a_model_whole_or_not_at_all(tmp_path: Path) -> None:
    shelf, source = Shelf(tmp_path), parse_source("hf://a/b")

    def fails(partial: Path) -> None:
        (partial / "config.json").write_text("{}")
        raise WeightsError("cut")

    with pytest.raises(WeightsError, match="cut"):
        shelf.fill(source, fails, lambda: None)
    assert shelf.find(source) is None
    kept: list[str] = []
    shelf.fill(source, lambda partial: kept.extend(file.name for file in partial.iterdir()), lambda: None)
    assert kept == ["config.json"]
    assert shelf.find(source) == shelf.place(source)
    shelf.fill(source, lambda partial: pytest.fail("fetched again"), lambda: None)


def test_a_shelf_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="Not a directory"):
        Shelf(tmp_path / "file").fill(parse_source("hf://a/b"), lambda partial: None, lambda: None)


def test_settings_come_from_the_environment() -> None:
    read = WeightsSettings.read({"OMNIPIPE_MODELS": "/models", "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://h"})
    assert read == WeightsSettings(models_dir=Path("/models"), offline=True, endpoint="http://h")
    assert WeightsSettings.read({"HF_HUB_OFFLINE": "0"}) == NONE


def test_progress_is_a_line_every_few_seconds(caplog: pytest.LogCaptureFixture) -> None:
    now, counted = [0.0], [0]
    caplog.set_level(logging.INFO)

    def count(nbytes: int) -> None:
        counted[0] += nbytes

    report = Counted(LogLines(every_s=5, clock=lambda: now[0]), count)
    report.start("m", 100 << 20)
    for _ in range(10):
        now[0] += 1
        report.add(10 << 20)
    report.add(-(5 << 20))
    report.end()
    assert [record.message for record in caplog.records] == [
        "fetching m: 100.0 MiB",
        "fetching m: 50.0 MiB of 100.0 MiB (50%), 10.0 MiB/s",
        "fetching m: 100.0 MiB of 100.0 MiB (100%), 10.0 MiB/s",
        "fetching m: 95.0 MiB in 10.0 s, ended",
    ]
    assert counted[0] == 100 << 20
    assert [human(1), human(1536), human(3 << 40)] == ["1 B", "1.5 KiB", "3.0 TiB"]
