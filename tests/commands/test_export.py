"""dfd export, and the commands that use what it writes."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfd.cli import main
from dfd.inference import graph as graphs
from dfd.models.bundle import Bundle
from tests.commands.conftest import Crossed, Refused, Trained, newest_run

QUICK = ("runtime.device=cpu", "runtime.workers=0")
SNIPPET = re.compile(r"```python\n(.*?)```", re.DOTALL)
DOCS = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.fixture(scope="module")
def exported(trained: Trained) -> Path:
    """A finished export to ONNX."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained.folder)
        assert main(["export", f"bundle={trained.run}", *QUICK]) == 0
    return newest_run(trained.folder, "export", "onnx-fp32")


@pytest.fixture
def work(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained.folder)
    return trained.folder


def scores(out: Path, *arguments: str) -> pd.DataFrame:
    assert main(["predict", "images", f"output={out}", *arguments, *QUICK]) == 0
    return pd.read_csv(out)


def test_an_export_is_a_bundle_with_a_graph_and_its_comparison(trained: Trained, exported: Path) -> None:
    assert {"bundle", "graph", "parity.json", "report.html"} <= {path.name for path in exported.iterdir()}
    for name in ("model.safetensors", "seen.txt"):
        assert os.path.samefile(exported / "bundle" / name, trained.run / "bundle" / name)
    assert (exported / "bundle" / "bundle.yaml").read_text() == (trained.run / "bundle" / "bundle.yaml").read_text()
    figures = json.loads((exported / "parity.json").read_text())
    assert figures["fingerprint"] == trained.metrics["fingerprint"] and figures["n"] == trained.metrics["n"]
    assert not figures["seen"]
    assert figures["logit"]["max"] <= 1e-3 and figures["own"]["prob"] < 1e-5
    assert figures["auroc"]["before"] == pytest.approx(trained.metrics["overall"]["auroc"]["value"])
    page = (exported / "report.html").read_text()
    assert "the same verdicts" in page and figures["fingerprint"] in page
    assert not [path for path in exported.iterdir() if path.name.endswith(".part") or path.name.startswith(".onnx")]


def test_commands_take_the_graph_by_themselves_and_say_the_same(
    work: Path, trained: Trained, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = scores(tmp_path / "graph.csv", f"bundle={exported}")
    plain = scores(tmp_path / "plain.csv", f"bundle={trained.run}", "backend=torch", "runtime.precision=fp32")
    assert np.allclose(graph["logit"], plain["logit"], atol=1e-3)
    capsys.readouterr()
    assert main(["eval", f"bundle={trained.run}", "backend=onnxruntime", "evaluation.resamples=100", *QUICK]) == 0
    assert "onnxruntime, cpu (" in capsys.readouterr().out
    measured = json.loads((newest_run(work, "eval", "bundle") / "metrics.json").read_text())
    assert measured["device"].startswith("onnxruntime")
    assert measured["overall"]["auroc"]["value"] == pytest.approx(trained.metrics["overall"]["auroc"]["value"])


def test_the_example_in_the_documentation_gives_dfds_probability(
    work: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = SNIPPET.findall(DOCS.read_text(encoding="utf-8"))
    table = scores(tmp_path / "table.csv", f"bundle={exported}")
    row = table.iloc[3]
    code = code.replace("model.onnx", str(exported / "graph" / "model.onnx")).replace("photo.jpg", row["path"])
    capsys.readouterr()
    exec(compile(code, str(DOCS), "exec"), {})
    prob, verdict = capsys.readouterr().out.split()
    # Pillow's resize and ours differ by rounding.
    assert float(prob) == pytest.approx(row["prob"], abs=2e-3) and verdict == row["verdict"]


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_openvino_in_fewer_bits_is_compared_by_auroc_and_verdicts(work: Path, trained: Trained, precision: str) -> None:
    wide = ("auroc_tolerance=1", "flip_tolerance=1", "calibration=10")
    arguments = ["export", f"bundle={trained.run}", "format=openvino", f"precision={precision}", *wide, *QUICK]
    if precision == "bf16" and not _has_bf16():
        assert main(arguments) == 2
        return
    assert main(arguments) == 0
    run = newest_run(work, "export", f"openvino-{precision}")
    figures = json.loads((run / "parity.json").read_text())
    assert 0 < figures["logit"]["mean"] < 0.5
    ranges = graphs.read(run / "graph").card.get("ranges")
    assert (ranges is None) == (precision == "bf16")
    if ranges:
        assert ranges["n"] == 10 and "test" not in ranges["splits"]


def _has_bf16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tolerance=0"], "is not kept, as it says other than tiny: a network's logit differs by up to"),
        (["precision=int8"], "precision=int8 with format=onnx; accepted is fp32, or format=openvino"),
        (["runtime.precision=bf16"], "runtime.precision=bf16"),
        (["bundle=images"], "bundle=images: no bundle.yaml there"),
        (["data=folder", "data.name=gone", "data.source=gone"], "gone"),
    ],
)
def test_a_refused_export_leaves_nothing_that_looks_like_one(
    work: Path, trained: Trained, refused: Refused, arguments: list[str], message: str
) -> None:
    bundle = [] if any(each.startswith("bundle=") for each in arguments) else [f"bundle={trained.run}"]
    assert message in refused(["export", *bundle, *arguments, "name=refused", *QUICK])
    left = {path.name for path in newest_run(work, "export", "refused").iterdir()}
    assert left <= {".hydra", "export.log"}


def test_a_cross_validated_bundle_is_one_graph_and_seen_images_are_named_so(
    crossed: Crossed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(crossed.folder)
    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "has_seen", lambda self, sha256: sha256.notna())
        assert main(["export", f"bundle={crossed.runs[0]}", "name=folds", *QUICK]) == 0
    assert "images that the bundle has seen the graph gives the same verdicts" in capsys.readouterr().out
    assert json.loads((newest_run(crossed.folder, "export", "folds") / "parity.json").read_text())["seen"]
