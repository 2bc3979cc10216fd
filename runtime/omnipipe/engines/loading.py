"""Model folders into torch modules, for every engine whose model transformers has.

transformers reads the safetensors (and knows how older checkpoints map to its modules); this module chooses dtype and
device, insists that every tensor found its place, and says what is wrong in one line. It fetches nothing.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import torch

from omnipipe.engines.errors import LoadingError
from omnipipe.engines.loading_progress import weights_progress
from omnipipe.weights.progress import Report, report_for

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "DType",
    "LoadedModel",
    "Part",
    "choose_device",
    "choose_dtype",
    "load_config",
    "load_generation_config",
    "load_model",
    "load_tokenizer",
    "one_line",
]

_LOG: Final = logging.getLogger(__name__)
_NAMED: Final = 3
"""Tensors that an error names; the rest is a number."""

DType = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a larger checkpoint that one stage needs. Weights under other prefixes are not read."""

    prefix: str
    """What the part's tensors are called in the checkpoint, `thinker.` for instance; cut off for the module."""
    config: Callable[[Any], Any]
    """The whole checkpoint's config -> the part's own."""
    cls: type | None = None
    """The part's module; None: the causal language model of its config."""
    layout: str = ""
    """A model type of transformers whose checkpoints are laid out as this part's is: `qwen2_moe` for experts one by
    one. Needed where transformers knows that layout of the whole model alone; empty: it knows the part's."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    module: "PreTrainedModel"
    """In eval mode, on its device, without gradients."""
    config: "PreTrainedConfig"
    dtype: torch.dtype
    device: torch.device
    nbytes: int
    """Of parameters and buffers."""
    seconds: float


def load_model(
    folder: Path,
    *,
    dtype: DType = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
    part: Part | None = None,
    cls: type | None = None,
    attention: str | None = None,
    report: Report | None = None,
) -> LoadedModel:
    """`cls`: an auto class or module of transformers other than AutoModelForCausalLM (AutoModel for embeddings).
    `attention`: a name registered with transformers' AttentionInterface. Raises LoadingError, in one line."""
    began = time.monotonic()
    place = choose_device(device)
    kind = choose_dtype(dtype, place)
    config = load_config(folder, trust_remote_code=trust_remote_code)
    if part is not None:
        config = part.config(config)
    module = _read(folder, config, part, cls, kind, place, attention, trust_remote_code, report)
    module.train(False)
    module.requires_grad_(False)
    nbytes = sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))
    seconds = time.monotonic() - began
    _LOG.info(
        "loaded %s from %s: %.1f MiB in %s on %s, %.2f s",
        type(module).__name__, folder.name, nbytes / 2**20, str(kind).removeprefix("torch."), _named(place), seconds,
    )  # fmt: skip
    return LoadedModel(module, module.config, kind, place, nbytes, seconds)


def choose_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise LoadingError(f'no device is called "{device}": it is cpu, cuda or cuda:N') from error
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise LoadingError(f"device {device} is not there: torch sees {torch.cuda.device_count()} CUDA devices")
    return place


def choose_dtype(dtype: DType, device: torch.device) -> torch.dtype:
    """`auto`: bf16 where the GPU computes in it, f16 on older ones, f32 on CPUs, which are quick and exact in it."""
    if dtype != "auto":
        return cast(torch.dtype, getattr(torch, dtype))
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


def load_config(folder: Path, *, trust_remote_code: bool = False) -> "PreTrainedConfig":
    from transformers import CONFIG_MAPPING, AutoConfig

    raw = _raw_config(folder)
    kind, own_code = str(raw.get("model_type", "")), "auto_map" in raw
    if kind not in CONFIG_MAPPING and not (own_code and trust_remote_code):
        if own_code:
            raise LoadingError(
                f'{folder.name}: "{kind}" brings its own Python code, which is not run unless the manifest says so '
                "(spec.stages[].params: {trust_remote_code: true})"
            )
        raise LoadingError(f'{folder.name}: transformers {_version()} knows no model type "{kind}"')
    # It notes, at every load, what models' authors wrote into their configs and it has no use for.
    logging.getLogger("transformers.modeling_rope_utils").setLevel(logging.ERROR)
    with one_line(folder.name):
        return cast("PreTrainedConfig", AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code))


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    with one_line(folder.name):
        return cast(
            "PreTrainedTokenizerBase",
            AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True),
        )


def load_generation_config(folder: Path) -> "GenerationConfig | None":
    """The model's own stop tokens and sampling defaults; None when it has none."""
    from transformers import GenerationConfig

    if not (folder / "generation_config.json").is_file():
        return None
    with one_line(folder.name):
        return GenerationConfig.from_pretrained(folder, local_files_only=True)


def _read(
    folder: Path,
    config: "PreTrainedConfig",
    part: Part | None,
    cls: type | None,
    dtype: torch.dtype,
    device: torch.device,
    attention: str | None,
    trust_remote_code: bool,
    report: Report | None,
) -> "PreTrainedModel":
    from transformers import AutoModelForCausalLM
    from transformers.conversion_mapping import (
        get_checkpoint_conversion_mapping,
        register_checkpoint_conversion_mapping,
    )

    maker: Any = cls or (part.cls if part and part.cls else AutoModelForCausalLM)
    options: dict[str, Any] = {
        "config": config,
        "dtype": dtype,
        "local_files_only": True,
        "use_safetensors": True,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # to name them ourselves
        **({"attn_implementation": attention} if attention else {}),
        **({"key_mapping": {f"^{part.prefix.replace('.', chr(92) + '.')}": ""}} if part else {}),
        **({"trust_remote_code": trust_remote_code} if hasattr(maker, "_model_mapping") else {}),
    }
    if part is not None and part.layout:
        register_checkpoint_conversion_mapping(
            maker.__name__,
            get_checkpoint_conversion_mapping(part.layout),  # type: ignore[no-untyped-call]  # transformers' own
            overwrite=True,
        )
    report = report or report_for(doing="loading", ends=False)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    with (
        one_line(folder.name),
        weights_progress(folder.name, size, report),
        _straight_to(device),
        nullcontext() if part is None else _unreported(),
    ):
        module, found = maker.from_pretrained(folder, **options)
        module = module.to(device)
    _check(folder, found, module, part)
    return cast("PreTrainedModel", module)


@contextmanager
def _unreported() -> Iterator[None]:
    """transformers would list every tensor of the other parts; what is missing, `_check` says."""
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def _straight_to(device: torch.device) -> AbstractContextManager[object]:
    """Tensors go from the file to the GPU one by one, where `accelerate` is installed, which transformers wants for it;
    elsewhere through the host's memory, all of them."""
    if device.type == "cpu" or find_spec("accelerate") is None:
        return nullcontext()
    return torch.device(device)


def _check(folder: Path, found: dict[str, Any], module: "PreTrainedModel", part: Part | None) -> None:
    """Every tensor of the module was in the files, with its shape; the files held nothing that was not meant."""
    name = f"{folder.name} as {type(module).__name__}"
    mismatched = [
        f"{key} {_shape(there)} where {_shape(wanted)} is needed" for key, there, wanted in found["mismatched_keys"]
    ]
    if mismatched:
        raise LoadingError(f"{name}: {_some(mismatched, 'tensor', 'of another shape')}")
    if found["missing_keys"]:
        raise LoadingError(f"{name}: {_some(sorted(found['missing_keys']), 'tensor', 'missing')}")
    if found["error_msgs"]:
        raise LoadingError(f"{name}: {found['error_msgs'][0]}")
    if found["unexpected_keys"] and part is None:
        _LOG.warning("%s: %s", name, _some(sorted(found["unexpected_keys"]), "tensor", "not used"))


def _some(names: list[str], noun: str, what: str) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} {noun}{'s' if len(names) > 1 else ''} {what}: {', '.join(names[:_NAMED])}{more}"


def _shape(shape: Any) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _raw_config(folder: Path) -> dict[str, Any]:
    try:
        raw = json.loads((folder / "config.json").read_bytes())
    except OSError as error:
        raise LoadingError(f"cannot read {folder / 'config.json'}: {error.strerror}") from error
    except ValueError as error:
        raise LoadingError(f"{folder / 'config.json'} is not JSON: {error}") from error
    return cast(dict[str, Any], raw)


@contextmanager
def one_line(what: str) -> Iterator[None]:
    """What transformers, safetensors and torch raise when they load `what`, as one line each, a LoadingError. It is
    the boundary of a stage's start: a family that loads something more has no other."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise LoadingError(f"{what} does not fit into the device's memory") from error
    except LoadingError:
        raise
    except Exception as error:  # many kinds, none documented; all of them mean that this model cannot be loaded
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "") or type(error).__name__
        raise LoadingError(f"{what} cannot be loaded: {reason}") from error


def _named(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"cpu ({threads} thread{'s' if threads > 1 else ''} on {os.cpu_count()} processors)"


def _version() -> str:
    import transformers

    return transformers.__version__
