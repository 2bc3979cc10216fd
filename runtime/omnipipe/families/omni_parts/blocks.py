"""What a prompt is made of, as the positions of its tokens are counted: by each model in its own way."""

from dataclasses import dataclass

__all__ = ["Block", "Grid", "Plain", "Woven"]


@dataclass(frozen=True, slots=True)
class Plain:
    """Text or sound: one position after the other."""

    size: int


@dataclass(frozen=True, slots=True)
class Grid:
    """An image, or the pictures of a video."""

    times: int
    height: int
    width: int
    step: float = 0.0
    """From one time to the next, in what the model counts time in."""

    @property
    def size(self) -> int:
        return self.times * self.height * self.width


@dataclass(frozen=True, slots=True)
class Woven:
    """Pictures and sound of one video, in order of time."""

    grid: Grid
    sound: int

    @property
    def size(self) -> int:
        return self.grid.size + self.sound


Block = Plain | Grid | Woven
