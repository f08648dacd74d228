"""What happens to images on their way to a detector: saved again, resized, blurred, shared …

`KINDS` is the table of changes. Each is a function of pixels, a strength and, for noise, a random generator: uint8 RGB
[H, W, 3] to uint8 RGB [h, w, 3]. What is accepted as a strength stands in `config.ChangesConfig`.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from dfd.config import ChangesConfig
from dfd.data.decode import UnusableImage

Pixels = NDArray[np.uint8]

LONGEST = {"JPEG": 65_500, "WEBP": 16_383}  # pixels a side that the format can hold
WEB = (768, 60)  # longest side in pixels, JPEG quality
HARD = (512, 40)
SCREEN_LONGEST = 3840  # a screenshot is never larger than the screen
SCREENSHOT_QUALITY = 85
STRIP = 2**20  # values of noise held at once


@dataclass(frozen=True)
class Kind:
    """A kind of change.

    `title` and `strength` are words for tables: 'JPEG' and 'quality'. `harder` is the end of the scale where less of
    the image is left ('away': both ends, seen from `neutral`). `neutral` is the strength that changes nothing, where
    there is one. `about` says in a sentence what is done.
    """

    apply: Callable[[Pixels, float, np.random.Generator], Pixels]
    title: str
    strength: str
    harder: Literal["lower", "higher", "away"]
    neutral: float | None
    about: str


@dataclass(frozen=True)
class Change:
    """A kind at one strength. Picklable."""

    kind: str
    strength: float

    def __call__(self, image: Pixels, *seed: int) -> Pixels:
        """Change uint8 RGB [H, W, 3]; the same `seed` gives the same noise, which differs from strength to strength.

        Raises UnusableImage if the result would not fit its file format.
        """
        kind = KINDS[self.kind]
        if self.strength == kind.neutral:
            return image
        strength_bits = int(np.float64(self.strength).view(np.uint64))
        return kind.apply(image, self.strength, np.random.default_rng([*seed, strength_bits]))

    def __str__(self) -> str:
        kind = KINDS[self.kind]
        return f"{kind.title}, {kind.strength} {self.strength:g}"


def changes_of(config: ChangesConfig) -> list[Change]:
    """All changes of a config, kind by kind as in `KINDS`, from mild to hard (or from low to high), none twice."""
    strengths = asdict(config)
    return [
        Change(kind, float(strength))
        for kind, about in KINDS.items()
        for strength in sorted(set(strengths[kind]), reverse=about.harder == "lower")
    ]


def _jpeg(image: Pixels, quality: float, _: np.random.Generator) -> Pixels:
    return saved(Image.fromarray(image), "JPEG", quality)


def _webp(image: Pixels, quality: float, _: np.random.Generator) -> Pixels:
    return saved(Image.fromarray(image), "WEBP", quality)


def saved(image: Image.Image, format: str, quality: float) -> Pixels:
    """Encoded and decoded again. JPEG with the colours at half the resolution (4:2:0), as nearly everywhere."""
    if max(image.size) > LONGEST[format]:
        raise UnusableImage(f"{max(image.size):,} pixels a side: {format} holds {LONGEST[format]:,}")
    options: dict[str, Any] = {"subsampling": "4:2:0"} if format == "JPEG" else {"method": 4}
    buffer = BytesIO()
    image.save(buffer, format, quality=int(quality), **options)
    image.close()  # its pixels and the decoded ones need not be in memory at once
    with Image.open(buffer, formats=[format]) as decoded:
        return np.asarray(decoded)


def _resize(image: Pixels, factor: float, _: np.random.Generator) -> Pixels:
    """Down and back up, both bicubic; Pillow's filters widen when they shrink, so there is no aliasing."""
    height, width = image.shape[:2]
    small = _scaled(Image.fromarray(image), factor, Image.Resampling.BICUBIC)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def _scaled(image: Image.Image, factor: float, resampling: Image.Resampling) -> Image.Image:
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), resampling)


def _blur(image: Pixels, sigma: float, _: np.random.Generator) -> Pixels:
    # Not BORDER_REFLECT_101: with it, OpenCV 5 never returns from an image that is one pixel wide.
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))


def _noise(image: Pixels, deviation: float, random: np.random.Generator) -> Pixels:
    """Independent in every pixel and colour. In strips: a large image as floats would take gigabytes."""
    noisy = np.empty_like(image)
    rows = max(1, STRIP // max(1, image[0].size))
    for top in range(0, len(image), rows):
        strip = image[top : top + rows]
        values = random.standard_normal(strip.shape, dtype=np.float32)
        values *= deviation
        values += strip
        noisy[top : top + rows] = np.clip(np.rint(values, out=values), 0, 255, out=values)
    return noisy


def _crop(image: Pixels, share: float, _: np.random.Generator) -> Pixels:
    height, width = (max(1, round(side * share)) for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def _brightness(image: Pixels, factor: float, _: np.random.Generator) -> Pixels:
    return np.asarray(ImageEnhance.Brightness(Image.fromarray(image)).enhance(factor))


def _contrast(image: Pixels, factor: float, _: np.random.Generator) -> Pixels:
    """Distance from the image's mean grey, times `factor`."""
    return np.asarray(ImageEnhance.Contrast(Image.fromarray(image)).enhance(factor))


def _screenshot(image: Pixels, scale: float, _: np.random.Generator) -> Pixels:
    """A picture of the picture on a screen, sent on.

    Three steps of that way: the viewer scales the image to the screen, bilinearly, as browsers do; the screen's tone
    curve (gamma 2.2) takes the place of the file's (sRGB), rounded to 8 bits; the capture, a PNG which keeps each pixel
    as it is, becomes a JPEG when it is sent. Not in it: other content around the image, and colour profiles.
    """
    scale = min(scale, SCREEN_LONGEST / max(image.shape[:2]))
    shown = _scaled(Image.fromarray(image), scale, Image.Resampling.BILINEAR)
    return saved(shown.point(SCREEN_TONES * 3), "JPEG", SCREENSHOT_QUALITY)


def _screen_tones() -> list[int]:
    """The level 0..255 that a gamma-2.2 screen's capture has for each sRGB level (IEC 61966-2-1)."""
    value = np.arange(256) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return [int(level) for level in np.rint(255 * light ** (1 / 2.2))]


SCREEN_TONES = _screen_tones()


def _web(image: Pixels, times: float, _: np.random.Generator) -> Pixels:
    return _shared(image, int(times), *WEB)


def _hard(image: Pixels, times: float, _: np.random.Generator) -> Pixels:
    return _shared(image, int(times), *HARD)


def _shared(image: Pixels, times: int, longest: int, quality: int) -> Pixels:
    """What a platform does to an upload: shrunk if it is too large, never enlarged, and saved as JPEG."""
    for _ in range(times):
        picture = Image.fromarray(image)
        picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        image = saved(picture, "JPEG", quality)
    return image


KINDS = {
    "jpeg": Kind(_jpeg, "JPEG", "quality", "lower", None, "Saved again as JPEG."),
    "webp": Kind(_webp, "WebP", "quality", "lower", None, "Saved again as WebP."),
    "resize": Kind(_resize, "Resize", "factor", "lower", 1.0, "Made smaller by this factor, and as large as before."),
    "blur": Kind(_blur, "Blur", "sigma", "higher", 0.0, "Gaussian blur; sigma in pixels."),
    "noise": Kind(_noise, "Noise", "deviation", "higher", 0.0, "Gaussian noise; deviation in levels of 0 to 255."),
    "crop": Kind(_crop, "Crop", "share", "lower", 1.0, "Cut to its middle; the share of both sides that stays."),
    "brightness": Kind(_brightness, "Brightness", "factor", "away", 1.0, "Darker (below 1) or brighter."),
    "contrast": Kind(_contrast, "Contrast", "factor", "away", 1.0, "Flatter (below 1) or harsher."),
    "screenshot": Kind(
        _screenshot, "Screenshot", "scale", "lower", None, "Shown at this scale, captured, sent as JPEG of quality 85."
    ),
    "web": Kind(_web, "Shared on the web", "times", "higher", None, "At most 768 px a side, JPEG quality 60."),
    "hard": Kind(_hard, "Shared, hard", "times", "higher", None, "At most 512 px a side, JPEG quality 40."),
}


def hardest(changes: Sequence[Change], kind: str) -> list[Change]:
    """The last change of a kind on each side of what changes nothing: one, or two for a scale with two hard ends."""
    own = [change for change in changes if change.kind == kind]
    about = KINDS[kind]
    if about.harder != "away" or about.neutral is None or len(own) < 2:
        return own[-1:]
    return [own[0], own[-1]] if own[0].strength < about.neutral < own[-1].strength else own[-1:]
