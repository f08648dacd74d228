"""What a graph has to say of itself, for its card and for the file that travels without one."""

from dataclasses import dataclass
from typing import Any

from dfd import __version__
from dfd.data.transforms import Joint
from dfd.export.network import Exported
from dfd.inference.graph import INPUT, LOGIT, MEMBER_LOGITS, PROB, VALUES
from dfd.models.bundle import Bundle, EnsembleBundle

LABELS = {"real": 0, "fake": 1}
PIXELS = (
    "RGB, channels first: upright (EXIF orientation applied), transparency over white, the first frame of an "
    "animation. Normalisation by mean and std is in the graph"
)
FIT = {
    "resize": "The whole image resized to size x size, its proportions not kept",
    "square": "The largest square in the middle, resized to size x size",
    "crop": "The middle size x size pixels at native resolution; borders mirrored where the image is smaller",
}
MEANING = {
    VALUES: "What each network says, one after the other: its logit and, where they are combined, its features",
    LOGIT: "Log-odds of 'fake' before calibration",
    PROB: "Calibrated probability of 'fake'",
    MEMBER_LOGITS: "Log-odds of 'fake' of each member before calibration",
}


@dataclass(frozen=True)
class Description:
    """Of whose networks the graph is, and how it is used. Plain values, for YAML and JSON."""

    bundle: dict[str, Any]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    left_out: str | None
    labels: dict[str, int]
    calibration: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """In the order of reading."""
        return dict(vars(self))


def describe(bundle: Bundle, joint: Joint, network: Exported, width: int) -> Description:
    """Of the bundle's graph; `width` is that of its values."""
    members = [member.name for member in bundle.members] if isinstance(bundle, EnsembleBundle) else [bundle.name]
    columns = {VALUES: [width], MEMBER_LOGITS: [len(members)]}
    return Description(
        bundle={"name": bundle.name, "sha256": bundle.sha256, "members": members, "dfd": __version__},
        inputs=[
            {
                "name": INPUT.format(number),
                "dtype": "uint8",
                "shape": ["n", 3, each.size, each.size],
                "pixels": PIXELS,
                "preprocessing": each.to_dict(),
                "fit": FIT[each.fit],
            }
            for number, each in enumerate(joint.each)
        ],
        outputs=[
            {"name": name, "dtype": "float32", "shape": ["n", *columns.get(name, [])], "meaning": MEANING[name]}
            for name in network.outputs
        ],
        left_out=network.left_out,
        labels=LABELS,
        calibration={
            **bundle.calibration.to_dict(),
            "verdict": "real below unsure_low, fake from unsure_high on, unsure between them",
        },
    )
