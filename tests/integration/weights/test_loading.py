"""Model folders into modules: the built-in model, and every way of not fitting, in one line."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from omnipipe.engines.errors import LoadingError
from omnipipe.engines.loading import Part, choose_device, load_generation_config, load_model, load_tokenizer
from omnipipe.weights import resolve

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(resolve("builtin://tiny-chat"), tmp_path / "model"))


def change(folder: Path, edit: Callable[[Tensors], Tensors]) -> None:
    file = folder / "model.safetensors"
    save_file(edit(load_file(file)), file, metadata={"format": "pt"})


def configure(folder: Path, **fields: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


def complaint(folder: Path, **options: bool) -> str:
    with pytest.raises(LoadingError) as caught:
        load_model(folder, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_hardware_chooses_dtype_and_device_and_one_line_says_so(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "omnipipe.engines")
    loaded = load_model(model)
    cuda = torch.cuda.is_available()
    assert loaded.device.type == ("cuda" if cuda else "cpu")
    assert cuda or loaded.dtype is torch.float32
    assert {p.dtype for p in loaded.module.parameters()} == {loaded.dtype}
    assert not loaded.module.training
    assert not any(p.requires_grad for p in loaded.module.parameters())
    assert loaded.nbytes > loaded.module.num_parameters() * loaded.dtype.itemsize * 0.99
    (line,) = [record.message for record in caplog.records]
    assert line.startswith("loaded Qwen3ForCausalLM from model: ")
    assert str(loaded.dtype).removeprefix("torch.") in line


def test_a_dtype_that_is_asked_for(model: Path) -> None:
    assert load_model(model, dtype="bfloat16", device="cpu").module.dtype is torch.bfloat16


def test_tokenizer_and_stop_tokens_belong_to_the_model(model: Path) -> None:
    tokenizer, generation = load_tokenizer(model), load_generation_config(model)
    assert generation is not None
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") == generation.eos_token_id
    (model / "generation_config.json").unlink()
    assert load_generation_config(model) is None
    (model / "tokenizer.json").write_text("{")
    with pytest.raises(LoadingError, match="model cannot be loaded"):
        load_tokenizer(model)


def test_missing_tensors_are_named(model: Path) -> None:
    change(model, lambda t: {key: value for key, value in t.items() if "layers.2.mlp" not in key})
    assert complaint(model) == (
        "model as Qwen3ForCausalLM: 3 tensors missing: model.layers.2.mlp.down_proj.weight, "
        "model.layers.2.mlp.gate_proj.weight, model.layers.2.mlp.up_proj.weight"
    )


def test_tensors_of_another_shape_are_named(model: Path) -> None:
    change(model, lambda t: {**t, "model.norm.weight": torch.ones(64)})
    assert complaint(model) == (
        "model as Qwen3ForCausalLM: 1 tensor of another shape: model.norm.weight 64 where 128 is needed"
    )


def test_tensors_that_nobody_needs_are_named(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    change(model, lambda t: {**t, "vision.tower.weight": torch.ones(3)})
    load_model(model)
    warnings = [record.message for record in caplog.records if record.name.startswith("omnipipe")]
    assert warnings == ["model as Qwen3ForCausalLM: 1 tensor not used: vision.tower.weight"]


def test_an_architecture_that_transformers_does_not_have(model: Path) -> None:
    configure(model, model_type="qwen99")
    assert 'knows no model type "qwen99"' in complaint(model)


def test_a_models_own_code_is_not_run_unless_allowed(model: Path) -> None:
    configure(model, model_type="qwen99", auto_map={"AutoConfig": "configuration.C", "AutoModelForCausalLM": "model.M"})
    (model / "configuration.py").write_text("raise SystemExit('the code was run')")
    assert "brings its own Python code" in complaint(model)
    with pytest.raises(SystemExit, match="the code was run"):
        load_model(model, trust_remote_code=True)


def test_an_encoder_is_no_causal_model(model: Path) -> None:
    configure(model, model_type="clip_vision_model")
    assert complaint(model).startswith("model cannot be loaded: ")


def test_only_the_part_that_a_stage_needs(model: Path) -> None:
    whole = load_file(model / "model.safetensors")
    change(
        model,
        lambda t: {**{f"thinker.{key}": value for key, value in t.items()}, "talker.model.norm.weight": torch.ones(7)},
    )
    loaded = load_model(model, part=Part(prefix="thinker.", config=lambda config: config))
    for key, value in loaded.module.state_dict().items():
        if key in whole:
            assert torch.equal(value.cpu(), whole[key].to(value.dtype)), key


def test_devices_that_are_not_there() -> None:
    with pytest.raises(LoadingError, match='no device is called "gpu"'):
        choose_device("gpu")
    with pytest.raises(LoadingError, match="device cuda:99 is not there"):
        choose_device("cuda:99")
