"""How far a model's loading is. transformers tells through tqdm alone; here that becomes a Report, and its bars stay
off."""

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any

from omnipipe.weights.progress import Report

__all__ = ["weights_progress"]


@contextmanager
def weights_progress(name: str, total: int, report: Report) -> Iterator[None]:
    """`total`: bytes on disk. They are counted as if every tensor were as large as the next: layers repeat."""
    from transformers.utils import logging as theirs

    def make(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        items = args[0] if args else kwargs.get("iterable", ())
        return _counted(items, total, report)

    previous = theirs.set_tqdm_hook(make)
    report.start(name, total)
    try:
        yield
    finally:
        theirs.set_tqdm_hook(previous)
        report.end()


def _counted(items: Iterable[Any], total: int, report: Report) -> Iterator[Any]:
    count = len(items) if isinstance(items, Sized) else 0
    done = 0
    for number, item in enumerate(items, 1):
        yield item
        if count:
            report.add(total * number // count - done)
            done = total * number // count
