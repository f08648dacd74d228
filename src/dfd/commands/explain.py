"""dfd explain: pictures in, maps of what the answer hangs on out; or how faithful such maps are."""

from pathlib import Path

from dfd.commands import explain_faithfulness, explain_files
from dfd.config import ExplainConfig
from dfd.errors import UserError


def run(config: ExplainConfig, out: Path) -> int:
    """Explain the files, or measure the methods (`faithfulness`). EXIT_PARTIAL if some files could not be used."""
    _check(config)
    return (explain_faithfulness if config.faithfulness else explain_files).run(config, out)


def _check(config: ExplainConfig) -> None:
    if config.faithfulness and config.inputs:
        raise UserError(
            f"inputs={config.inputs[0]} has no part in --faithfulness, which measures on a data set; name it with "
            "data=NAME"
        )
    if not config.faithfulness and config.data is not None:
        raise UserError(f"data={config.data.name} has no part in explaining files; add --faithfulness to measure on it")
    if not config.faithfulness and not config.inputs:
        raise UserError("nothing to explain: name files, folders or globs, as in `dfd explain photo.jpg`")
