from io import StringIO

from rich.console import Console

from dfd.config import EvaluationConfig
from dfd.evaluation.metrics import NAMES, measure
from dfd.report.page import ReportContext
from dfd.report.table import print_metrics


def printed(metrics: dict, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width)
    print_metrics(console, metrics)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_every_figure_and_source_is_printed(context: ReportContext) -> None:
    text = printed(context.metrics)
    auroc = context.metrics["overall"]["auroc"]
    line = next(each for each in text.splitlines() if each.startswith("AUROC"))
    assert line.split() == ["AUROC", f"{auroc['value']:.3f}", f"{auroc['low']:.3f}", "–", f"{auroc['high']:.3f}", "119"]
    assert all(name in text for name in NAMES.values())
    assert "[red]gan<b>" in text and "camera" in text  # markup in a name is shown, not obeyed
    assert "1 unreadable" in text


def test_no_rows_can_be_printed(context: ReportContext) -> None:
    text = printed(measure(context.predictions.iloc[:0], 0.5, EvaluationConfig(resamples=100)))
    assert "no images" in text


def test_narrow_screens_do_not_break(context: ReportContext) -> None:
    assert max(map(len, printed(context.metrics, width=60).splitlines())) <= 60
