"""Small model folders, written byte by byte: no torch in these tests."""

import json
import random
from pathlib import Path

__all__ = ["safetensors", "sharded_model"]


def safetensors(seed: int, count: int) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}).encode()
    return len(header).to_bytes(8, "little") + header + random.Random(seed).randbytes(count)


def sharded_model(folder: Path, shard_bytes: int = 3 << 20) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for seed, name in enumerate(names):
        (folder / name).write_bytes(safetensors(seed, shard_bytes))
    index = {"weight_map": {f"layer.{number}.w": name for number, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"a second copy that nobody needs")
    return folder
