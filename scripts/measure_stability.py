"""Does taking a verdict back where copies contradict it avoid mistakes? Rules compared on images of known class.

    python scripts/measure_stability.py BUNDLE FOLDER_OF_REALS FOLDER_OF_FAKES N OUT.json

Draws N images a class (seed 0), none of them seen by the bundle, makes their cards without a map, and counts for each
rule how many verdicts are left and how many of those are wrong. `random` takes back as many verdicts as the rule in
use, drawn at random: what a rule that knows nothing would give.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfd.cards.card import Card, make_card
from dfd.cards.stability import contradicted
from dfd.config import RuntimeConfig
from dfd.data.decode import UnusableImage
from dfd.data.discover import images_below
from dfd.files import sha256_of, write_text
from dfd.inference.backends import open_engine
from dfd.models.bundle import Bundle, find, load
from dfd.runtime import start

RULES: dict[str, Callable[[Card], bool]] = {
    "no rule": lambda card: False,
    "the opposite in one copy": lambda card: card.stability.opposite > 0,
    "another verdict in most copies": lambda card: 2 * card.stability.flips > len(card.stability.copies),
    "in use: the opposite in one, or another in most": lambda card: contradicted(card.stability),
    "another verdict in one copy": lambda card: card.stability.flips > 0,
}
IN_USE = "in use: the opposite in one, or another in most"


def drawn(folder: Path, n: int, bundle: Bundle) -> list[Path]:
    """At most `n` images that the bundle has not seen."""
    every = images_below(folder)
    order = np.random.default_rng(0).permutation(len(every))
    fresh = (every[place] for place in order if not bundle.has_seen(pd.Series([sha256_of(every[place])])).item())
    return [path for path, _ in zip(fresh, range(n), strict=False)]


def counted(verdicts: list[str], labels: list[str]) -> dict[str, Any]:
    """Verdicts that are left, and wrong ones among them."""
    decided = [(verdict, label) for verdict, label in zip(verdicts, labels, strict=True) if verdict != "unsure"]
    wrong = sum(verdict != label for verdict, label in decided)
    return {"n": len(labels), "decided": len(decided), "wrong": wrong, "error": wrong / max(1, len(decided))}


def _verdicts(cards: list[Card]) -> tuple[list[str], list[str]]:
    """Of the picture as it is, and after the copies."""
    return [card.score.verdict for card in cards], [card.verdict for card in cards]


def main() -> None:
    """See the module."""
    folder = find(sys.argv[1])
    bundle = load(folder)
    runtime = start(RuntimeConfig(device="cpu"), cpu_bf16=bundle.cpu_bf16)
    engine = open_engine(folder, bundle, "torch", runtime)
    cards, labels = [], []
    for label, place in (("real", sys.argv[2]), ("fake", sys.argv[3])):
        for path in drawn(Path(place), int(sys.argv[4]), bundle):
            try:
                cards.append(make_card(path.name, path.read_bytes(), engine, runtime, bundle.max_pixels))
                labels.append(label)
            except UnusableImage as unusable:
                print(f"{path}: {unusable.reason}", file=sys.stderr)
    kinds = ("real", "unsure", "fake")
    for label in ("real", "fake"):
        own = [card for card, each in zip(cards, labels, strict=True) if each == label]
        before, after = ([verdict.count(kind) for kind in kinds] for verdict in _verdicts(own))
        print(f"{label:5} n = {len(own)}  called {', '.join(kinds)}: {before}, with the copies {after}")
    raw = [card.score.verdict for card in cards]
    found = {
        name: counted(["unsure" if rule(card) else card.score.verdict for card in cards], labels)
        for name, rule in RULES.items()
    }
    decided = [row for row, verdict in enumerate(raw) if verdict != "unsure"]
    taken = len(decided) - found[IN_USE]["decided"]
    rng, errors = np.random.default_rng(0), []
    for _ in range(1000):
        gone = set(rng.choice(decided, taken, replace=False).tolist()) if taken else set()
        verdicts = ["unsure" if row in gone else verdict for row, verdict in enumerate(raw)]
        errors.append(counted(verdicts, labels)["error"])
    found["random"] = {"taken back": taken, "error": float(np.mean(errors)), "low": float(np.quantile(errors, 0.025))}
    write_text(Path(sys.argv[5]), json.dumps({"bundle": bundle.name, "rules": found}, indent=1) + "\n")
    for name, figures in found.items():
        print(f"{name:50}", figures)


if __name__ == "__main__":
    main()
