"""How often the hint at an earlier JPEG compression is right, on photographs whose history is known.

    python scripts/measure_history.py FOLDER SIDE N OUT.json

Each photograph is shrunk to SIDE pixels (Lanczos), which takes the traces of its own compression away, and is then
saved once, or twice, at qualities drawn from 50 to 98 (seed 0, 4:2:0), by Pillow from RGB to RGB. `once` has the false
alarms, also after a change that a photograph may have gone through; `twice` the hits, by the difference of the
qualities. `right` are hits whose guess of the earlier quality is within 5.
"""

import json
import sys
from collections import defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from dfd.data.discover import images_below
from dfd.evaluation.intervals import wilson
from dfd.evidence.evidence import examine
from dfd.files import write_text

QUALITIES = (50, 98)
STEPS = (-48, -20, -8, 0, 8, 20, 48)
CHANGES = {
    "as it is": lambda image: image,
    "enlarged by 1.5": lambda image: image.resize([round(1.5 * side) for side in image.size], Image.Resampling.BICUBIC),
    "sharpened": lambda image: image.filter(ImageFilter.UnsharpMask(2, 150)),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
}


def saved(image: Image.Image, quality: int) -> bytes:
    """As JPEG."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def share(hits: list[bool]) -> dict[str, Any]:
    """With a 95% interval by Wilson's score."""
    low, high = wilson(sum(hits) / len(hits), len(hits)) if hits else (0.0, 1.0)
    return {"n": len(hits), "share": sum(hits) / max(1, len(hits)), "low": low, "high": high}


def main() -> None:
    """See the module."""
    folder, side, n = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = np.random.default_rng(0)
    every = images_below(folder)
    once: dict[str, list[bool]] = defaultdict(list)
    twice: dict[str, list[bool]] = defaultdict(list)
    right: list[bool] = []
    for place in rng.permutation(len(every))[:n]:
        image = Image.open(every[place]).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
        for name, change in CHANGES.items():
            quality = int(rng.integers(*QUALITIES, endpoint=True))
            history = examine(saved(change(image), quality), 10**8).history
            once[name].append(history is not None and history.found)
        first, last = (int(quality) for quality in rng.integers(*QUALITIES, size=2, endpoint=True))
        if first != last:
            history = examine(saved(Image.open(BytesIO(saved(image, first))), last), 10**8).history
            hit = history is not None and history.found
            low = max(step for step in STEPS[:-1] if step <= last - first)
            high = STEPS[STEPS.index(low) + 1]
            twice["all"].append(hit)
            twice[f"last - first in {low} to {high}"].append(hit)
            if hit and history is not None:
                right.append(abs(history.quality - first) <= 5)
    found = {
        "once": {name: share(hits) for name, hits in once.items()},
        "twice": {name: share(hits) for name, hits in sorted(twice.items())},
        "right": share(right),
    }
    write_text(Path(sys.argv[4]), json.dumps({"side": side, **found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
