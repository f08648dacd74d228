"""The one way from an image file to pixels.

`read_image` is used for preparing, training and predicting alike, so that a file means the same pixels
everywhere: upright (EXIF), 8 bits, RGB, transparency over white, the first frame of an animation.
"""

import os
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from dfd.files import CannotOpen, open_regular

MAX_BYTES = 256 * 2**20  # a larger file is not read: 64 million RGBA pixels take no more, uncompressed
Image.init()
# Readers that decode pixels by themselves: others of Pillow's start programs (EPS). AVIF is not in every build.
FORMATS = [
    name for name in ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM"] if name in Image.OPEN
]
Image.MAX_IMAGE_PIXELS = None  # `max_pixels` takes the place of Pillow's own limit, which would warn on the screen

XMP = ("xmp", "XML:com.adobe.xmp")  # as Pillow's readers name the packet
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnusableImage(Exception):
    """A file that gives no pixels. `reason` says why in a few plain words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_image(source: Path | bytes, max_pixels: int) -> NDArray[np.uint8]:
    """Pixels of an image file, or of a file's content, as uint8 RGB [H, W, 3].

    Raises UnusableImage.
    """
    data = source if isinstance(source, bytes) else read_bytes(source)
    return to_rgb(open_image(data, max_pixels))


def read_bytes(path: Path) -> bytes:
    """Content of a regular file of at most MAX_BYTES. Raises UnusableImage."""
    try:
        with open_regular(path) as handle:
            size = os.fstat(handle.fileno()).st_size
            if size > MAX_BYTES:
                raise UnusableImage(f"{size:,} bytes, limit {MAX_BYTES:,}")
            data = handle.read(MAX_BYTES + 1)
    except CannotOpen as error:
        raise UnusableImage(error.reason) from None
    except OSError as error:
        raise UnusableImage(f"cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise UnusableImage(f"more than {MAX_BYTES:,} bytes")
    return data


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """The header of an image, its pixels not yet decoded. Raises UnusableImage."""
    if not data:
        raise UnusableImage("empty file")
    try:
        with warnings.catch_warnings(action="ignore"):
            image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise UnusableImage("not an image") from None
    except Exception as error:  # a reader that stumbles over a broken header may raise anything
        raise UnusableImage(_broken(error)) from None
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise UnusableImage(f"{pixels:,} pixels, limit {max_pixels:,} (max_pixels)")
    return image


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Decode an opened image, and use it up, to uint8 RGB [H, W, 3] as a viewer shows it. Raises UnusableImage."""
    try:
        with warnings.catch_warnings(action="ignore"):
            image.load()
            turn = UPRIGHT.get(_orientation(image))
            flat = _eight_bit_rgb(image)
            if flat is not image:
                image.close()  # frees its pixels, of which a large image has too many to keep them twice
            return np.asarray(flat.transpose(turn) if turn is not None else flat)
    except UnusableImage:
        raise
    except Exception as error:
        raise UnusableImage(_broken(error)) from None


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8. Asked for after loading: some readers turn the image themselves.

    Where EXIF has none, Pillow goes by XMP. Browsers don't: a program that turned the pixels may have left it there.
    """
    for key in XMP:
        image.info.pop(key, None)
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF: viewers show the picture as it is stored
        return 1


def _eight_bit_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_16_bit(image).convert("RGB")
    if image.mode == "F":
        raise UnusableImage("floating-point pixels, whose white is not known")
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    image = image.convert("RGBA")
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=image)
    return page


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale 0..65535 to 0..255; Pillow's own conversion would clip."""
    values = np.asarray(image)
    if values.dtype != np.uint16 and values.size and not 0 <= values.min() <= values.max() <= 65535:
        raise UnusableImage("32-bit pixels, whose white is not known")
    scaled = values.astype(np.float32)
    scaled /= 257
    return Image.fromarray(np.rint(scaled, out=scaled).astype(np.uint8))


def _broken(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "truncated" in text.lower():
        return "truncated"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    return f"broken image ({text[:120] or type(error).__name__})"
