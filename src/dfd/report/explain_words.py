"""What a page of maps says in words: how the maps were made, what one shows, and what none of them proves."""

import numpy as np

from dfd.evaluation.calibration import Calibration
from dfd.explain.maps import COMBINED, Map
from dfd.report.words import percent

NAMES = {
    "gradcam": "Grad-CAM",
    "gradcampp": "Grad-CAM++",
    "shap": "SHAP",
    "lime": "LIME",
    "occlusion": "Occlusion",
    "integrated_gradients": "Integrated gradients",
    "random": "Random",
}
ABOUT = {
    "gradcam": "Grad-CAM weighs the network’s last feature maps by how they move its answer (those of several blocks "
    "under a head that reads several). It is coarse: its cells, a seventh or a fourteenth of the picture’s side, are "
    "blown up.",
    "gradcampp": "Grad-CAM++ weighs the network’s last feature maps as Grad-CAM does, and counts single strong places "
    "more. It is as coarse.",
    "shap": "SHAP blurs regions of the picture in many random combinations, and shares the answer out among them.",
    "lime": "LIME blurs regions of the picture at random, and fits a linear model to how the answer moves.",
    "occlusion": "A blurred patch slides over the picture; the map says how far the answer falls under it.",
    "integrated_gradients": "The gradient at each pixel, summed up on the way from the blurred picture to the picture. "
    "Fine-grained, and noisy.",
    "random": "A map drawn at random, which knows nothing of the picture.",
}
NONE_MOVES = "no network alone moves the ensemble’s answer to this picture; all count alike"
LEAST = 0.01  # of the strength; less is not worth a place
SAMPLED = ("shap", "lime")
THIRDS = (("upper left", "upper middle", "upper right"), ("left", "centre", "right"))
LOWER = ("lower left", "lower middle", "lower right")


def summary(found: Map) -> list[str]:
    """What the bundle's map shows, in sentences."""
    values = np.nan_to_num(found.values, nan=0.0)
    total = float(np.abs(values).sum(dtype=np.float64))
    if total == 0:
        return ["The map is empty: the answer hangs on no place more than on another."]
    fake = float(np.maximum(values, 0).sum(dtype=np.float64)) / total
    lines = [f"{fake:.0%} of the map’s strength speaks for fake, {1 - fake:.0%} for real."]
    if fake >= LEAST:
        lines.append(f"What speaks most for fake lies {where(values)}.")
    if 1 - fake >= LEAST:
        lines.append(f"What speaks most for real lies {where(-values)}.")
    return lines


def where(values: np.ndarray) -> str:
    """The place of the highest value of [H, W], such as 'in the upper left (24% from the left, 10% from the top)'."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    down, right = (row + 0.5) / values.shape[0], (column + 0.5) / values.shape[1]
    names = (*THIRDS, LOWER)[min(2, int(3 * down))]
    name = names[min(2, int(3 * right))]
    preposition = "on the" if name in ("left", "right") else "in the"
    return f"{preposition} {name} ({right:.0%} from the left, {down:.0%} from the top)"


def cautions(method: str, samples: int, seed: int) -> list[str]:
    """What a map does not prove."""
    lines = [
        "It shows what moved this detector’s answer. It does not show where a picture was altered, nor that it was.",
        "A wrong answer has a map as convincing as a right one. Read the map only together with the probability.",
        "Blue does not mean genuine, and a clear place does not mean untouched: the detector saw no trace it knows.",
        "Other methods give other maps. `dfd explain --faithfulness` measures on your data which of them to trust.",
    ]
    if method in SAMPLED:
        lines.append(f"It is an estimate from {samples} random draws (seed {seed}): another seed moves its details.")
    return lines


def band(calibration: Calibration) -> str:
    """The verdict's limits."""
    low, high = calibration.unsure_low, calibration.unsure_high
    if low == high:
        return f"From {high:.3f} on is fake, and below it real."
    return f"Below {low:.3f} is real, from {high:.3f} on is fake, and unsure between."


def about_members(whole: Map) -> str:
    """How an ensemble's map is made of its networks'."""
    if whole.alike:
        return f"Each by the same method. The map above is their sum: {NONE_MOVES}."
    return (
        "Each by the same method. The map above is their sum, each counted as much as the ensemble’s answer to this "
        "picture moves when that network alone is shown the picture blurred."
    )


def member_note(found: Map) -> str:
    """How much of the ensemble's answer hangs on a network."""
    if found.alike:
        return NONE_MOVES
    if found.share == 0:
        return "alone, it does not move the ensemble’s answer to this picture"
    return f"{percent(found.share)} of what moves the ensemble’s answer to this picture"


def description(found: Map) -> str:
    """The map for who can't see it."""
    return " ".join([f"Map by {NAMES[found.method]}.", *summary(found)])


def of_whom(found: Map) -> str:
    """Whose map the first one is."""
    return "of all networks together" if found.network == COMBINED else f"of {found.network}"
