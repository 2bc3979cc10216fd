"""The adapter to huggingface_hub: what is needed of a repository, downloaded, with its errors in our words.

The library does the transport: tokens, redirects, resuming, retries, its cache. It is imported inside the functions:
a stage without hub models must not pay for it.
"""

import logging
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from omnipipe.spec.sources import Source
from omnipipe.weights.errors import AccessDenied, HubUnreachable, ModelNotFound, NoSpace, WeightsError
from omnipipe.weights.progress import Report, human
from omnipipe.weights.settings import WeightsSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["download"]

_WANTED: Final = [
    "*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.py", "*_Dense/*.bin", "spk_dict.pt",
]  # fmt: skip
_UNWANTED: Final = ["consolidated*.safetensors", "original/*", "onnx/*", "openvino/*", "*.fp16.safetensors", ".*"]
"""Second copies of the same weights in other layouts."""
_SPARE_BYTES: Final = 64 << 20
"""Left free beside the model: a full disk hurts more than this model's absence."""
_ANSWER_WITHIN_S: Final = 10.0
_WORKERS: Final = 4
"""Files at once: enough to fill a link, few enough for a small pod's memory."""


def download(
    source: Source, into: Path | None, settings: WeightsSettings, report: Report, *, also: "Sequence[str]" = ()
) -> Path:
    """Into the folder, or into the hub library's own cache. A connection that breaks is taken up again where it broke;
    of a process that died, the files that had come whole are kept. `also`: files beside those of every model."""
    from huggingface_hub import snapshot_download

    repository, _, revision = source.location.partition("@")
    name = f"hf://{source.location}"
    asked: dict[str, Any] = {
        "repo_id": repository,
        "revision": revision or None,
        "endpoint": settings.endpoint,
        "allow_patterns": [*_WANTED, *also],
        "ignore_patterns": _UNWANTED,
        "etag_timeout": _ANSWER_WITHIN_S,
        "max_workers": _WORKERS,
        **({"local_dir": into} if into else {}),
    }
    for orphan in into.rglob("*.incomplete") if into else ():
        orphan.unlink()  # of a process that was killed; the library never takes them up again
    with _in_our_words(name, settings):
        if settings.offline:
            return Path(snapshot_download(**asked, local_files_only=True))
        needed = _needed_bytes(asked, name, into)
        if needed is None:
            return Path(snapshot_download(**asked, local_files_only=True))
        report.start(name, needed)
        try:
            return Path(snapshot_download(**asked, tqdm_class=_bar_class(report)))
        finally:
            report.end()


def _needed_bytes(asked: dict[str, Any], name: str, into: Path | None) -> int | None:
    """What is still to come. None: the hub is not there, so that only the cache can help. Raises NoSpace before the
    first byte is written, not after hours."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import DryRunError, HfHubHTTPError

    try:
        files = snapshot_download(**asked, dry_run=True, tqdm_class=_bar_class(None))
    except DryRunError as error:
        cause = error.__cause__
        if isinstance(cause, HfHubHTTPError) and cause.response.status_code < 500:
            raise cause from error
        return None
    needed = sum(file.file_size or 0 for file in files if file.will_download)
    place = into or Path(constants.HF_HUB_CACHE)
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed and needed + _SPARE_BYTES > free:
        raise NoSpace(f"{name}: needs {human(needed)}, and {place} has {human(free)} free")
    return needed


@contextmanager
def _in_our_words(name: str, settings: WeightsSettings) -> "Iterator[None]":
    import httpx2
    from huggingface_hub import errors

    where = settings.endpoint or "the hub"
    try:
        yield
    except WeightsError:
        raise
    except errors.GatedRepoError as error:
        raise AccessDenied(
            f"{name}: access must be granted on the model's page first, then give a token in HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelNotFound(f"{name}: the model has no such revision") from error
    except errors.LocalEntryNotFoundError as error:
        if settings.offline:
            raise ModelNotFound(f"{name}: not on this machine, or not whole, and HF_HUB_OFFLINE is set") from error
        raise HubUnreachable(f"{name}: {where} cannot be reached, and there is no whole copy here") from error
    except errors.HfHubHTTPError as error:
        raise _refused(name, where, error) from error
    except (httpx2.HTTPError, ConnectionError, TimeoutError) as error:
        raise HubUnreachable(f"{name}: the connection to {where} broke ({type(error).__name__}); try again") from error
    except OSError as error:
        raise WeightsError(f"{name}: {_first_line(error)}") from error
    except ValueError as error:
        raise ModelNotFound(f"{name}: {_first_line(error)}") from error


def _refused(name: str, where: str, error: Any) -> WeightsError:
    status = error.response.status_code
    if status in (401, 403):
        return AccessDenied(
            f"{name}: {where} says {status}: no such public model; "
            "for a private one set HF_TOKEN to a token that may read it"
        )
    if status == 404:
        return ModelNotFound(f"{name}: {where} has no such model; the name is owner/name, as in its address")
    return HubUnreachable(f"{name}: {where} answered with status {status}; try again later")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _bar_class(report: Report | None) -> Any:
    """The library tells of progress through a tqdm class alone; this one draws nothing."""
    from huggingface_hub.utils.tqdm import tqdm

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its warnings repeat what the errors say

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts = kwargs.get("name") == "huggingface_hub.snapshot_download"
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts and report is not None:
                report.add(int(n or 0))
            return None

    return Bar
