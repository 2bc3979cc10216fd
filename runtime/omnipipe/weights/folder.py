"""Is a folder a whole model? Reads headers and sizes only, so that it costs milliseconds also for a hundred GB.

It says nothing about whether the tensors fit the architecture: that is the loader's to say.
"""

import json
from pathlib import Path
from typing import Final

from omnipipe.weights.errors import BrokenModel, ModelNotFound

__all__ = ["INDEX", "PICKLED", "check_folder", "shards"]

INDEX: Final = "model.safetensors.index.json"
SINGLE: Final = "model.safetensors"
PICKLED: Final = "pytorch_model.bin"
_LENGTH_BYTES: Final = 8
_LARGEST_HEADER: Final = 100 << 20
"""What the safetensors format itself allows."""


def check_folder(folder: Path, name: str, *, pickled: bool = False) -> None:
    """Raises ModelNotFound or BrokenModel; `name` is how the person called it. `pickled`: PICKLED will do."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ModelNotFound(f"{name}: {folder} {what}")
    _read_object(folder / "config.json", name)
    if pickled and (folder / PICKLED).is_file():
        return
    for shard in shards(folder, name):
        _check_shard(shard, name)


def shards(folder: Path, name: str) -> list[Path]:
    """The files that hold the weights, all there. Raises BrokenModel."""
    index = folder / INDEX
    if index.exists():
        weight_map = _read_object(index, name).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise BrokenModel(f"{name}: {INDEX} has no weight_map")
        files = sorted({str(file) for file in weight_map.values()})
        outside = [file for file in files if Path(file).name != file]
        if outside:
            raise BrokenModel(f"{name}: {INDEX} points outside of its folder: {outside[0]}")
        absent = [file for file in files if not (folder / file).is_file()]
        if absent:
            raise BrokenModel(f"{name}: {len(absent)} of {len(files)} weight files are missing, first {absent[0]}")
        return [folder / file for file in files]
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    found = sorted(folder.glob("*.safetensors"))
    if found:
        raise BrokenModel(f"{name}: has {found[0].name}, but neither {SINGLE} nor {INDEX}")
    if any(folder.glob("*.bin")):
        raise BrokenModel(f"{name}: has only *.bin weights; convert them to safetensors")
    raise BrokenModel(f"{name}: no {SINGLE} and no {INDEX} in {folder}")


def _read_object(file: Path, name: str) -> dict[str, object]:
    try:
        data = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise BrokenModel(f"{name}: no {file.name} in {file.parent}") from error
    except OSError as error:
        raise BrokenModel(f"{name}: cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise BrokenModel(f"{name}: {file.name} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise BrokenModel(f"{name}: {file.name} is not a JSON object")
    return data


def _check_shard(file: Path, name: str) -> None:
    """A safetensors file is 8 bytes of header length, the header, the tensors to the last byte."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
            if size < _LENGTH_BYTES or length > _LARGEST_HEADER or length > size:
                raise BrokenModel(f"{name}: {file.name} is not a safetensors file, or is cut off in its header")
            header = json.loads(stream.read(length))
    except OSError as error:
        raise BrokenModel(f"{name}: cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise BrokenModel(f"{name}: {file.name} is not a safetensors file: its header is not JSON") from error
    try:
        ends = [int(tensor["data_offsets"][1]) for key, tensor in header.items() if key != "__metadata__"]
    except (AttributeError, TypeError, KeyError, IndexError, ValueError) as error:
        raise BrokenModel(f"{name}: {file.name} is not a safetensors file: no tensor offsets in its header") from error
    expected = _LENGTH_BYTES + length + max(ends, default=0)
    if size != expected:
        what = "is cut off" if size < expected else "has bytes too many"
        raise BrokenModel(f"{name}: {file.name} {what}: {size} bytes, its header says {expected}")
