"""One piece of media as the model takes it in: decoded, made features of, and the tokens that stand for it.

The features and the tokens come from the model's own processor, which is asked for one piece at a time: they do not
depend on what else a request brings, so that equal media has equal embeddings everywhere.
"""

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import numpy as np
import torch

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.llm.asked import invalid
from omnipipe.families.omni_parts.asked import MediaOptions, Medium
from omnipipe.families.omni_parts.blocks import Block, Grid, Plain, Woven
from omnipipe.media.audio import decode_audio
from omnipipe.media.images import decode_image
from omnipipe.media.limits import MediaLimits
from omnipipe.media.video import Video, decode_video
from omnipipe.wire.value import Tensor

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Defaults", "Made", "Maker", "Piece", "limits_of", "too_much"]

_MIN_FRAMES: Final = 4
"""Of a video, as Qwen's own tools take them."""
_LONGEST_SHAPE: Final = 200
"""Width to height, or the other way: the most that the processors take."""
_FEATURE_BYTES: Final = 3 * 4
"""Of a pixel: three colours in single precision."""
_OVER_LEAST: Final = 1.05
"""Frames stay this much above the least size, whatever all of them together should be; also as Qwen's tools have it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """An item, and what its encoder is given."""

    kind: Literal["image", "video", "audio"]
    key: bytes
    size: int
    features: Tensor
    grid: tuple[int, int, int] | None = None
    """Of pictures."""


@dataclass(frozen=True, slots=True)
class Made:
    """What one medium became: one piece, or two where the sound of a video is heard with it."""

    tokens: tuple[int, ...]
    """In place of the one that stood for it."""
    block: Block
    """Where they stand. Of a video with sound, without the marks around both."""
    margin: int
    """Plain tokens on either side of the block."""
    pieces: tuple[Piece, ...]

    @property
    def nbytes(self) -> int:
        return sum(piece.features.nbytes for piece in self.pieces) + 8 * len(self.tokens)


@dataclass(frozen=True, slots=True)
class Defaults:
    """Where the request does not say."""

    video_fps: float
    video_max_frames: int
    image_max_pixels: int
    video_total_pixels: int


class Maker:
    def __init__(self, processor: Any, steps_per_second: float, defaults: Defaults, most_bytes: int) -> None:
        """`processor`: the model's own. `steps_per_second`: what a `Grid` counts time in. `most_bytes`: of features;
        what would have more is not begun."""
        self._processor = processor
        self._most = most_bytes
        self._per_second = steps_per_second
        self._defaults = defaults
        self._rate_hz: int = self._processor.feature_extractor.sampling_rate
        self._shortest: int = self._processor.feature_extractor.n_fft
        self._patch: int = self._processor.image_processor.merge_size
        self._temporal: int = self._processor.video_processor.temporal_patch_size

    def key(self, medium: Medium, options: MediaOptions, limits: MediaLimits) -> bytes:
        """Of everything that the result depends on."""
        digest = hashlib.blake2b(medium.encoded, digest_size=16, person=medium.kind.encode())
        if medium.kind != "audio":
            digest.update(msgspec.json.encode((options, self._defaults)))
        if medium.kind == "video":
            digest.update(f"{limits.max_frames} {limits.max_video_pixels}".encode())
        return digest.digest()

    def make(self, medium: Medium, key: bytes, options: MediaOptions, limits: MediaLimits) -> Made:
        """Raises RequestError, which names the medium."""
        data = bytes(medium.encoded)
        match medium.kind:
            case "image":
                return self._image(decode_image(data, limits, path=medium.path), options, key, medium.path)
            case "audio":
                return self._audio(decode_audio(data, self._rate_hz, limits, path=medium.path), key)
            case "video":
                return self._video(self._decoded(data, options, limits, medium.path), options, key, medium.path)

    def _decoded(self, data: bytes, options: MediaOptions, limits: MediaLimits, path: str) -> Video:
        most = options.video_max_frames or self._defaults.video_max_frames
        return decode_video(
            data,
            limits,
            fps=options.video_fps or self._defaults.video_fps,
            min_frames=min(_MIN_FRAMES, most),
            max_frames=most,
            multiple=self._temporal,
            with_audio_hz=self._rate_hz if options.use_audio_in_video else None,
            path=path,
        )

    def _image(self, pixels: "npt.NDArray[np.uint8]", options: MediaOptions, key: bytes, path: str) -> Made:
        _check_shape(pixels.shape[0], pixels.shape[1], path)
        size = _bounds(self._processor.image_processor.size, options.min_pixels, options.max_pixels)
        if options.max_pixels is None:
            size["longest_edge"] = max(
                size["shortest_edge"], min(size["longest_edge"], self._defaults.image_max_pixels)
            )
        self._check_room(pixels.shape[0] * pixels.shape[1], self._temporal, size, path)
        found = self._processor(
            text=self._processor.image_token,
            images=[_channels_first(pixels[None])[0]],
            images_kwargs={"size": size, "input_data_format": "channels_first"},
            return_tensors="pt",
        )
        grid = _grid(found["image_grid_thw"])
        tokens = tuple(found["input_ids"][0].tolist())
        piece = Piece("image", key, len(tokens), _tensor(found["pixel_values"]), grid)
        return Made(tokens, self._block(grid, 0.0), 0, (piece,))

    def _audio(self, samples: "npt.NDArray[np.float32]", key: bytes) -> Made:
        found = self._processor(
            text=self._processor.audio_token,
            audio=[self._long_enough(samples)],
            return_tensors="pt",
        )
        tokens = tuple(found["input_ids"][0].tolist())
        return Made(tokens, Plain(len(tokens)), 0, (Piece("audio", key, len(tokens), _mels(found)),))

    def _video(self, video: Video, options: MediaOptions, key: bytes, path: str) -> Made:
        frames = video.frames
        _check_shape(frames.shape[1], frames.shape[2], path)
        size = self._frame_size(options, len(frames))
        self._check_room(frames.shape[1] * frames.shape[2], len(frames), size, path)
        heard = {} if video.audio is None else self._heard(video.audio)
        found = self._processor(
            text=self._processor.video_token,
            videos=[_channels_first(frames)],
            videos_kwargs={
                "size": size,
                "fps": video.fps,
                "do_sample_frames": False,
                "cap_pixels_per_frame": True,
                "input_data_format": "channels_first",
            },
            return_tensors="pt",
            **heard,
        )
        tokens = tuple(found["input_ids"][0].tolist())
        grid = _grid(found["video_grid_thw"])
        block = self._block(grid, self._step(float(found["video_second_per_grid"][0])))
        shown = Piece("video", key, block.size, _tensor(found["pixel_values_videos"]), grid)
        if not heard:
            return Made(tokens, block, 0, (shown,))
        sound = Piece("audio", key + b"+", len(tokens) - 2 - block.size, _mels(found))
        return Made(tokens, Woven(block, sound.size), 1, (shown, sound))

    def _heard(self, samples: "npt.NDArray[np.float32]") -> dict[str, Any]:
        return {
            "audio": [self._long_enough(samples)],
            "load_audio_from_video": True,
            "audio_from_video_indices": [0],
        }

    def _step(self, seconds: float) -> float:
        """From one time of a video to the next, in single precision, as the model's own positions are."""
        return float(np.float32(seconds) * np.float32(self._per_second))

    def _frame_size(self, options: MediaOptions, frames: int) -> dict[str, int]:
        size = _bounds(self._processor.videos_kwargs["size"], options.video_min_pixels, options.video_max_pixels)
        total = options.video_total_pixels
        if total is None and options.video_max_pixels is None:
            total = self._defaults.video_total_pixels
        if total is not None:
            share = total * self._temporal // frames
            size["longest_edge"] = max(min(size["longest_edge"], share), int(size["shortest_edge"] * _OVER_LEAST))
        return size

    def _check_room(self, pixels: int, frames: int, size: dict[str, int], path: str) -> None:
        """`pixels`: of one frame, as it was decoded. A picture can be asked for so large that making features of it
        takes the machine's whole memory."""
        sized = max(size["shortest_edge"], min(size["longest_edge"], pixels))
        if sized * frames * _FEATURE_BYTES > self._most:
            raise too_much(self._most, path)

    def _block(self, grid: tuple[int, int, int], step: float) -> Grid:
        times, height, width = grid
        return Grid(times, height // self._patch, width // self._patch, step)

    def _long_enough(self, samples: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float32]":
        """A click of a few milliseconds is silence for the rest of the window that a spectrum is taken of."""
        return np.pad(samples, (0, max(0, self._shortest - samples.size)))


def too_much(most_bytes: int, param: str) -> RequestError:
    return invalid(
        f"The media of this request is too much: more than {most_bytes >> 20} MB once it is prepared. Ask with less of "
        "it, or with a smaller 'max_pixels', 'video_max_pixels' or 'video_max_frames' (or 'min_pixels', where it is "
        "given).",
        param,
    )


def limits_of(given: dict[str, float]) -> MediaLimits:
    known = {field.name: field for field in fields(MediaLimits)}
    return MediaLimits(**{name: _as(known[name].type, value) for name, value in given.items() if name in known})


def _as(kind: Any, value: float) -> Any:
    return int(value) if kind in (int, "int") else float(value)


def _check_shape(height: int, width: int, path: str) -> None:
    if max(height, width) > _LONGEST_SHAPE * min(height, width):
        raise RequestError(
            ErrorKind.INVALID,
            f"'{path}' is {width} by {height} pixels: one side may be at most {_LONGEST_SHAPE} times the other.",
            param=path,
            code="invalid_media",
        )


def _bounds(size: Any, least: int | None, most: int | None) -> dict[str, int]:
    """The processor's own bounds on pixels, with the request's over them; one that is given alone moves the other."""
    low, high = int(size["shortest_edge"]), int(size["longest_edge"])
    low, high = (low if least is None else least), (high if most is None else most)
    if low > high:
        low, high = (low, low) if most is None else (high, high)
    return {"shortest_edge": low, "longest_edge": high}


def _channels_first(frames: "npt.NDArray[np.uint8]") -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)


def _grid(found: torch.Tensor) -> tuple[int, int, int]:
    times, height, width = found[0].tolist()
    return times, height, width


def _mels(found: Any) -> Tensor:
    return _tensor(found["input_features"][0][:, found["feature_attention_mask"][0].bool()])


def _tensor(values: torch.Tensor) -> Tensor:
    return Tensor.from_numpy(values.to(torch.float32).contiguous().numpy())
