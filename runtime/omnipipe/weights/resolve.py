"""The one way from a source URL to a folder, for stages and for `omnipipe fetch`."""

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from omnipipe.spec.sources import Source, parse_source
from omnipipe.weights import hub
from omnipipe.weights.builtin import builtin_folder
from omnipipe.weights.errors import BrokenModel, UnsupportedSource
from omnipipe.weights.folder import PICKLED, check_folder
from omnipipe.weights.progress import Report, report_for
from omnipipe.weights.settings import WeightsSettings
from omnipipe.weights.shelf import Shelf

__all__ = ["fetch", "resolve"]

_LOG: Final = logging.getLogger(__name__)


def resolve(
    source: str, *, settings: WeightsSettings | None = None, report: Report | None = None, pickled: bool = False
) -> Path:
    """A folder with config.json, tokenizer and *.safetensors, all whole. Raises WeightsError, in one line.

    Without `settings` they come from the environment; without `report` progress goes to stderr. `pickled`:
    pytorch_model.bin will do as well, for a caller that reads it with `weights_only`."""
    settings = settings or WeightsSettings.read(os.environ)
    parsed = _parse(source)
    folder = Shelf(settings.models_dir).find(parsed) if settings.models_dir else None
    also = (PICKLED,) if pickled else ()
    folder = folder or _locate(parsed, settings, report or report_for(), also)
    check_folder(folder, source, pickled=pickled)
    return folder


def fetch(source: str, into: Path, *, settings: WeightsSettings, report: Report) -> Path:
    """Puts the model on the shelf `into`, where processes with OMNIPIPE_MODELS=into find it. Does nothing when it is
    there already."""
    parsed = _parse(source)
    shelf = Shelf(into)

    def waiting() -> None:
        _LOG.info("another process is fetching %s into %s: waiting for it", source, into)

    if parsed.scheme != "hf":
        folder = _locate(parsed, settings, report)
        check_folder(folder, source)
        return shelf.fill_with_copy(parsed, folder, waiting) if parsed.scheme == "builtin" else folder

    def fill(partial: Path) -> None:
        hub.download(parsed, partial, settings, report)
        try:
            check_folder(partial, source)
        except BrokenModel:
            shutil.rmtree(partial)  # going on from it would end in the same
            raise
        shutil.rmtree(partial / ".cache")  # the hub library's notes for resuming

    return shelf.fill(parsed, fill, waiting)


def _parse(source: str) -> Source:
    try:
        return parse_source(source)
    except ValueError as error:
        raise UnsupportedSource(f"{source}: {error}") from error


def _locate(source: Source, settings: WeightsSettings, report: Report, also: Sequence[str] = ()) -> Path:
    match source.scheme:
        case "hf":
            return hub.download(source, None, settings, report, also=also)
        case "file":
            return Path(source.location)
        case "builtin":
            return builtin_folder(source.location)
        case "pvc":
            raise UnsupportedSource(
                f"pvc://{source.location}: volume claims exist on a cluster only; here use file:///absolute/path"
            )
        case scheme:
            raise UnsupportedSource(
                f"{scheme}://{source.location}: {scheme}:// cannot be loaded yet; copy the model to a folder and use "
                "file:///absolute/path, or use hf://owner/name"
            )
