"""What a whole model folder is, and the words for each way of not being one."""

import json
from pathlib import Path

import pytest

from omnipipe.weights.errors import BrokenModel, ModelNotFound
from omnipipe.weights.folder import check_folder, shards


def tensors(count: int) -> bytes:
    header = json.dumps({"__metadata__": {}, "w": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}})
    return len(header).to_bytes(8, "little") + header.encode() + bytes(count)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "model.safetensors").write_bytes(tensors(64))
    return tmp_path


def complaint(folder: Path) -> str:
    with pytest.raises(BrokenModel) as caught:
        check_folder(folder, "m")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_single_file_and_shards_are_whole(model: Path) -> None:
    check_folder(model, "m")
    (model / "model.safetensors").rename(model / "a.safetensors")
    (model / "b.safetensors").write_bytes(tensors(3))
    weight_map = {"x": "a.safetensors", "y": "b.safetensors", "z": "a.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    check_folder(model, "m")
    assert [file.name for file in shards(model, "m")] == ["a.safetensors", "b.safetensors"]


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(ModelNotFound, match="m: /nowhere does not exist"):
        check_folder(Path("/nowhere"), "m")


def test_a_file_is_no_folder(model: Path) -> None:
    with pytest.raises(ModelNotFound, match="is a file, not a folder"):
        check_folder(model / "config.json", "m")


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"'])
def test_a_config_that_is_none(model: Path, text: str) -> None:
    (model / "config.json").write_text(text)
    assert complaint(model).startswith("m: config.json is not")


def test_no_config(model: Path) -> None:
    (model / "config.json").unlink()
    assert complaint(model) == f"m: no config.json in {model}"


@pytest.mark.parametrize("length", [0, 4, 8, 30, 100])
def test_weights_cut_off_anywhere(model: Path, length: int) -> None:
    file = model / "model.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    assert "cut off" in complaint(model)


def test_weights_with_bytes_too_many(model: Path) -> None:
    with (model / "model.safetensors").open("ab") as stream:
        stream.write(b"x")
    assert "has bytes too many" in complaint(model)


@pytest.mark.parametrize("header", [b"[]", b"{", b'{"w": 1}', b'{"w": {"data_offsets": []}}', b"\xff\xff"])
def test_weights_with_another_header(model: Path, header: bytes) -> None:
    (model / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "is not a safetensors file" in complaint(model)


def test_a_git_lfs_pointer_is_no_model(model: Path) -> None:
    (model / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 10\n")
    assert "is not a safetensors file" in complaint(model)


def test_missing_shards_are_counted(model: Path) -> None:
    weight_map = {str(number): f"{number}.safetensors" for number in range(4)}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (model / "1.safetensors").write_bytes(tensors(1))
    assert complaint(model) == "m: 3 of 4 weight files are missing, first 0.safetensors"


def test_an_index_stays_in_its_folder(model: Path) -> None:
    (model / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../x.safetensors"}}')
    assert "points outside" in complaint(model)


@pytest.mark.parametrize(
    ("name", "says"),
    [("pytorch_model.bin", "convert them to safetensors"), ("x.safetensors", "but neither"), ("x.gguf", "no model.")],
)
def test_weights_of_another_kind(model: Path, name: str, says: str) -> None:
    (model / "model.safetensors").rename(model / name)
    assert says in complaint(model)
