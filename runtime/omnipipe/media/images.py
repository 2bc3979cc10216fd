"""Pictures: encoded bytes to uint8[height, width, 3]."""

import io
import struct
from typing import TYPE_CHECKING, Any, Final

from omnipipe.media.limits import MediaLimits
from omnipipe.media.refusals import Piece

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

__all__ = ["decode_image"]

_ORIENTATION: Final = 0x0112
"""The EXIF tag."""
_BROKEN_EXIF: Final = (
    SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, OSError, struct.error, UserWarning,
)  # fmt: skip
"""What Pillow stumbles on in there: a beginning that is none, numbers of the wrong kind, places outside of it; and its
warnings, where those are errors. Of what else it may come to, `Piece` makes a refusal."""
_WITH_ALPHA: Final = ("LA", "La", "PA", "RGBA", "RGBa")


def decode_image(data: bytes, limits: MediaLimits, *, path: str | None = None) -> "npt.NDArray[np.uint8]":
    """Upright (EXIF), alpha on white, of an animation the first picture. Raises RequestError INVALID; `path` is the
    field that it names."""
    from PIL import Image

    with Piece(path, limits) as piece:
        found = piece.expect("image", data)
        try:
            image = Image.open(io.BytesIO(data), formats=(found.reader,))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise piece.error(f"is too large: the limit is {limits.max_pixels} pixels in all") from error
        with image:
            piece.check_pixels(image.width, image.height)  # from the header: no pixel has been made yet
            image.load()
            return _pixels(_upright(image))


def _pixels(image: "Image") -> "npt.NDArray[np.uint8]":
    import numpy as np

    if image.mode.startswith("I"):  # 16 bits a pixel: the upper 8, as Pillow does for colour
        grey = (np.asarray(image).clip(0, 0xFFFF) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        image = _on_white(image.convert("RGBA"))
    elif image.mode != "RGB":
        image = image.convert("RGB")
    return np.array(image)


def _on_white(image: "Image") -> "Image":
    from PIL import Image

    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _upright(image: "Image") -> "Image":
    from PIL.Image import Transpose

    turns: dict[Any, Transpose] = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(image.getexif().get(_ORIENTATION))
    except _BROKEN_EXIF:  # beside a good picture: viewers show it, and so do we
        turn = None
    return image if turn is None else image.transpose(turn)
