"""How an image file was encoded: format, colour mode, and JPEG's quantisation tables. Imports no torch, no pandas."""

from typing import Any

from PIL import Image, JpegImagePlugin

from dfd.evidence.tables import quality_of

SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


def format_of(image: Image.Image) -> set[str]:
    """Traits of an opened image's encoding, such as 'JPEG', 'mode RGB', 'progressive' and 'ICC profile'."""
    found = {str(image.format), f"mode {image.mode}"}
    info = image.info
    flags = {"progressive": "progressive", "icc_profile": "ICC profile", "interlace": "interlaced"}
    found |= {name for key, name in flags.items() if info.get(key)}
    if getattr(image, "n_frames", 1) > 1:
        found.add("animated")
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        sampling = SUBSAMPLING.get(JpegImagePlugin.get_sampling(image), "other")
        found.add(f"chroma subsampling {sampling}")
    return found


def quantisation_of(image: Image.Image) -> dict[str, float]:
    """The estimated quality and the numbers of the first two tables; all 0 for what is not JPEG."""
    tables: dict[int, list[int]] = dict(sorted(getattr(image, "quantization", {}).items()))
    found = {"JPEG quality": float(quality_of(next(iter(tables.values())))) if tables else 0.0}
    for number in range(2):
        steps: Any = tables.get(number) or [0] * 64
        found |= {f"table {number}, step {place}": float(step) for place, step in enumerate(steps, start=1)}
    return found
