"""Words and numbers of a verdict card, for the page and for the screen."""

from dataclasses import dataclass

from dfd.cards.card import Card

LEADS = {
    "fake": "The detector takes this picture for a fake.",
    "unsure": "The detector can't decide on this picture.",
    "real": "The detector takes this picture for a real photograph.",
}
MARKS = {"fake": "▲", "unsure": "◆", "real": "●"}  # a verdict is told by its shape as well as by its colour
UNITS = ("bytes", "KB", "MB")


@dataclass(frozen=True)
class Band:
    """A stretch of the probabilities, 0..1, with one verdict."""

    verdict: str
    low: float
    high: float


def bands(card: Card) -> list[Band]:
    """The verdicts from 0 to 1; one whose stretch is empty is left out."""
    ends = [0.0, card.score.unsure_low, card.score.unsure_high, 1.0]
    every = [Band(verdict, *ends[at : at + 2]) for at, verdict in enumerate(("real", "unsure", "fake"))]
    return [band for band in every if band.high > band.low]


def size(count: int) -> str:
    """Bytes for people, such as '12.3 KB'."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count:,} bytes" if unit == 0 else f"{value:.1f} {UNITS[unit]}"


def facts(card: Card) -> dict[str, dict[str, str]]:
    """What was judged and what judged it: headings with their entries."""
    file, about = card.file, card.bundle
    data, metrics = about["data"], about["metrics"]
    images = data.get("train")
    entries = {"name": str(data.get("name", "unknown")), "fingerprint": str(data.get("fingerprint", "unknown"))}
    if images is not None:
        entries["trained on"] = f"{images:,} images" if isinstance(images, int) else str(images)
    if data.get("folds"):
        entries["folds"] = str(data["folds"])
    for key in ("auroc", "n", "split"):
        if key in metrics:
            value = metrics[key]
            entries[{"auroc": "AUROC", "n": "measured on"}.get(key, key)] = _told(key, value)
    return {
        "Picture": {
            "name": file.name,
            "format": file.format,
            "pixels": f"{file.width} × {file.height}",
            "size": size(file.bytes),
            "sha256": file.sha256,
        },
        "Detector": {
            "name": str(about["name"]),
            "kind": str(about["kind"]),
            "sha256": str(about["sha256"] or "not saved"),
        },
        "Its data": entries,
    }


def _told(key: str, value: object) -> str:
    if key == "auroc" and isinstance(value, int | float):
        return f"{value:.3f}"
    if key == "n" and isinstance(value, int):
        return f"{value:,} images"
    return {"oof": "out-of-fold", "val": "validation"}.get(str(value), str(value))
