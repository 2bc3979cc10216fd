"""Pictures of one coloured shape, and videos of white flashes in the dark."""

import random
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = ["COLOURS", "SHAPES", "Pixels", "draw", "flashing", "pattern"]

Pixels = npt.NDArray[np.uint8]

COLOURS: Final = {
    "red": (220, 30, 30),
    "green": (30, 160, 50),
    "blue": (40, 70, 220),
    "yellow": (240, 220, 40),
    "purple": (140, 40, 170),
    "orange": (245, 140, 20),
    "black": (15, 15, 15),
}
SHAPES: Final = ("circle", "square", "triangle", "cross")
_PAPER: Final = ((255, 255, 255), (235, 235, 235), (200, 200, 200))
_FRAME: Final = 32


def draw(rng: random.Random, colour: str, shape: str) -> Image.Image:
    """Drawn four times as large and made smaller, so that edges are smooth."""
    width = rng.choice((96, 128, 128, 160, 200))
    height = rng.choice((width, width, 96, 128))
    red, green, blue = (min(255, max(0, value + rng.randint(-12, 12))) for value in COLOURS[colour])
    big = Image.new("RGB", (4 * width, 4 * height), rng.choice(_PAPER))
    radius = 4 * min(width, height) * rng.uniform(0.22, 0.42)
    x, y = rng.uniform(radius, 4 * width - radius), rng.uniform(radius, 4 * height - radius)
    _shape(ImageDraw.Draw(big), shape, x, y, radius, (red, green, blue))
    return big.resize((width, height), Image.Resampling.BOX)


def _shape(pen: ImageDraw.ImageDraw, shape: str, x: float, y: float, radius: float, ink: tuple[int, int, int]) -> None:
    match shape:
        case "circle":
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
        case "square":
            side = 0.88 * radius
            pen.rectangle((x - side, y - side, x + side, y + side), fill=ink)
        case "triangle":
            foot = y + 0.75 * radius
            pen.polygon(((x, y - radius), (x - radius, foot), (x + radius, foot)), fill=ink)
        case "cross":
            thin = 0.3 * radius
            pen.rectangle((x - radius, y - thin, x + radius, y + thin), fill=ink)
            pen.rectangle((x - thin, y - radius, x + thin, y + radius), fill=ink)
        case _:
            raise ValueError(f"no shape {shape!r}")


def pattern(rng: random.Random, flashes: int) -> str:
    """One character a frame: `#` is a flash, `.` is dark; two flashes never touch. An even number of frames."""
    gaps = [rng.choice((0, 1, 2)), *(rng.choice((1, 1, 2, 3)) for _ in range(flashes - 1)), rng.choice((0, 1, 2))]
    frames = "." * gaps[0] + "".join("#" + "." * gap for gap in gaps[1:]) if flashes else "." * rng.randint(4, 12)
    frames += "." * max(0, 4 - len(frames))
    return frames + "." * (len(frames) % 2)


def flashing(rng: random.Random, frames: str) -> Pixels:
    """`[frames, height, width, 3]`, for two frames a second."""
    size = rng.choice((_FRAME, _FRAME, 48, 64))
    dark, light = rng.randint(0, 50), rng.randint(205, 255)
    video: npt.NDArray[Any] = np.empty((len(frames), size, size, 3), np.uint8)
    for place, kind in enumerate(frames):
        video[place] = light if kind == "#" else dark
    return video
