"""What a captured graph is, without a GPU: the operations that a function runs, played back on the same memory.

As with a graph, what the function read on the host is fixed when it is recorded, and a function that asks the device
for a number cannot be recorded at all."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from omnipipe.engines.autoregressive.cuda import kernels

__all__ = ["Playback", "Refused", "watch_launches"]

_ASKS = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select", "unique")


class Refused(RuntimeError):
    """An operation that waits for the device."""


class _Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    current: "_Recording | None" = None

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.played: list[Callable[[], None]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in _ASKS or (name == "index" and any(_is_mask(index) for index in args[1])):
            raise Refused(f"{name} is not permitted while a stream is captured")
        kwargs = kwargs or {}
        out = func(*args, **kwargs)

        def play() -> None:
            for new, old in zip(tree_leaves(func(*args, **kwargs)), tree_leaves(out), strict=True):
                if isinstance(new, torch.Tensor) and new.data_ptr() != old.data_ptr():
                    old.copy_(new)

        self.played.append(play)
        return out

    def __enter__(self) -> Any:
        _Recording.current = self
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        _Recording.current = None
        super().__exit__(*error)  # type: ignore[no-untyped-call]


def _is_mask(index: Any) -> bool:
    return isinstance(index, torch.Tensor) and index.dtype == torch.bool


class Playback:
    """A `graphs.Capture`."""

    def __init__(self) -> None:
        self.captures = 0
        self.replays = 0

    def __call__(self, function: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        with _Recording() as recording:
            out = function()
        self.captures += 1

        def replay() -> torch.Tensor:
            self.replays += 1
            for play in recording.played:
                play()
            return out

        return replay


class _Launches:
    """A kernel whose launches are recorded, too."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        def launch(*args: Any) -> None:
            with _disable_current_modes():
                self._kernel[grid](*args)
            if _Recording.current is not None:
                _Recording.current.played.append(lambda: self._kernel[grid](*args))

        return launch


def watch_launches() -> None:
    for name in kernels.__all__:
        setattr(kernels, name, _Launches(getattr(kernels, name)))
