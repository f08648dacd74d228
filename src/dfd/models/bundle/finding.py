"""Which bundle is meant."""

from pathlib import Path

from dfd.errors import UserError
from dfd.models.bundle.card import FILE


def find(wanted: str | None, outputs: Path = Path("outputs"), setting: str = "bundle") -> Path:
    """The bundle folder that `wanted` names: a bundle, a run that holds one, or a folder of runs, whose newest counts.

    None: the newest under `outputs`, copies in exports not counted.

    Raises UserError, in the name of the `setting` that it was wanted for, if there is none.
    """
    if wanted is not None:
        for folder in (Path(wanted), Path(wanted) / "bundle"):
            if (folder / FILE).is_file():
                return folder
        if among := list(Path(wanted).glob(f"*/bundle/{FILE}")):
            return _newest(among)
        raise UserError(
            f"{setting}={wanted}: no {FILE} there; accepted is a bundle, the folder of a finished run, or one of "
            "several runs, the newest of which is taken"
        )
    found = [path for path in outputs.glob(f"*/*/*/bundle/{FILE}") if path.parents[3].name != "export"]
    if not found:
        raise UserError(f"no bundle under {outputs}/; run `dfd train` first, or name one with {setting}=FOLDER")
    return _newest(found)


def _newest(files: list[Path]) -> Path:
    return max(files, key=lambda path: path.stat().st_mtime).parent
