"""Copies of a picture as they come about when it is passed on: saved again, made smaller, shared."""

from collections.abc import Iterator

from dfd.data.changes import Change, Pixels
from dfd.data.decode import UnusableImage

COPIES = (
    Change("jpeg", 90),
    Change("jpeg", 75),
    Change("jpeg", 50),
    Change("webp", 75),
    Change("resize", 0.75),
    Change("resize", 0.5),
    Change("web", 1),
)
SLOW_PIXELS = 24_000_000  # from here on, WebP takes many seconds, and such pictures are hardly sent as WebP
WORDS = {
    "jpeg": "saved again as JPEG, quality {0:g}",
    "webp": "saved again as WebP, quality {0:g}",
    "resize": "made smaller by {0:g} and large again",
    "web": "shared on the web (768 pixels, JPEG quality 60)",
}


def copies_of(image: Pixels) -> Iterator[tuple[Change, Pixels]]:
    """Each change of COPIES with what it makes of uint8 RGB [H, W, 3]; one that can't be made is left out.

    One at a time: seven copies of a large picture would take gigabytes.
    """
    for change in COPIES:
        if change.kind == "webp" and image.shape[0] * image.shape[1] > SLOW_PIXELS:
            continue
        try:
            yield change, change(image)
        except UnusableImage:
            continue


def words_of(change: Change) -> str:
    """Such as 'saved again as JPEG, quality 75'."""
    return WORDS[change.kind].format(change.strength)
