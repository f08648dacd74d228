#!/usr/bin/env python3
"""Evaluate the bundles of finished training runs anew and compare with the figures of the runs themselves.

    python scripts/check_reload.py outputs/train/*/*

Prints a line a run. Exit code 1 if a figure differs.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

TIMES = ("inference_ms",)


def figures_of(run: Path) -> dict:
    """metrics.json without what depends on the machine's load."""
    figures = json.loads((run / "metrics.json").read_text())
    return {key: value for key, value in figures.items() if key not in TIMES}


def reevaluated(run: Path) -> dict:
    """The figures that `dfd eval` gives for the run's bundle."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "dfd", "eval", f"bundle={run}", f"hydra.run.dir={out}"]
        subprocess.run(command, check=True, capture_output=True)
        return figures_of(Path(out))


def main() -> int:
    """Compare every run that is named and finished."""
    differing = 0
    for run in (Path(name) for name in sys.argv[1:]):
        if not (run / "metrics.json").exists():
            print(f"{run}: not finished")
            continue
        ours, again = figures_of(run), reevaluated(run)
        auroc = ours["overall"]["auroc"]["value"]
        same = ours == again
        differing += not same
        print(
            f"{run.parent.name}: {'equal' if same else 'DIFFERS'} after reload, n={ours['n']}, AUROC {auroc:.4f}",
            flush=True,
        )
    return int(differing > 0)


if __name__ == "__main__":
    raise SystemExit(main())
