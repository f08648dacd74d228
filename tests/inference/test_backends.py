"""Which engine a command gets, and which graphs it refuses."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dfd.config import RuntimeConfig
from dfd.data.dataset import image_tensor
from dfd.errors import UserError
from dfd.export.make import make_graph
from dfd.inference import graph as graphs
from dfd.inference.backends import open_engine
from dfd.inference.engine import Engine, TorchEngine
from dfd.models.bundle import Bundle, load, save
from dfd.runtime import Runtime, start
from tests.factories import pixels, tiny_bundle


@pytest.fixture
def runtime() -> Runtime:
    return start(RuntimeConfig(device="cpu", workers=0), cpu_bf16=False)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a bundle and an ONNX graph of it."""
    run = tmp_path_factory.mktemp("outputs") / "export" / "tiny" / "1"
    save(tiny_bundle(), run / "bundle")
    (run / "graph").mkdir()
    engine = TorchEngine(load(run / "bundle"), start(RuntimeConfig(device="cpu"), cpu_bf16=False))
    graphs.write(run / "graph", make_graph(run / "graph", engine, "onnx", "fp32", None).card)
    return run


@pytest.fixture
def run(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it under outputs/ of the working folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(exported, tmp_path / "outputs" / "export" / "tiny" / "1"))


@pytest.fixture
def plain(run: Path) -> Path:
    """The same bundle without a graph beside it."""
    return Path(shutil.copytree(run / "bundle", run.parents[3] / "elsewhere" / "bundle"))


def opened(folder: Path, backend: str, runtime: Runtime) -> Engine:
    return open_engine(folder, load(folder), backend, runtime)


def answers(engine: Engine) -> np.ndarray:
    rng = np.random.default_rng(0)
    inputs = torch.stack([image_tensor(engine.joint(pixels(rng, fake=True))) for _ in range(3)])
    with torch.inference_mode():
        return engine(inputs).numpy()


def test_auto_takes_the_graph_beside_the_bundle_and_torch_without_one(run: Path, plain: Path, runtime: Runtime) -> None:
    runtime = start(RuntimeConfig(device="cpu", precision="fp32"), cpu_bf16=False)
    graph, torch_engine = opened(run / "bundle", "auto", runtime), opened(plain, "auto", runtime)
    assert graph.describe().startswith("onnxruntime, cpu (") and str(run / "graph") in graph.describe()
    assert torch_engine.describe().startswith("torch")
    assert opened(run / "bundle", "torch", runtime).describe().startswith("torch")
    assert np.abs(answers(graph) - answers(torch_engine)).max() < 1e-3


def test_a_bundle_without_a_graph_takes_the_newest_export_of_it(run: Path, plain: Path, runtime: Runtime) -> None:
    newer = run.parent / "2"
    shutil.copytree(run, newer)
    os.utime(newer / "graph" / "graph.yaml", (2e9, 2e9))
    assert str(Path("outputs/export/tiny/2/graph")) in opened(plain, "onnxruntime", runtime).describe()


def test_without_an_export_the_command_for_one_is_named(run: Path, plain: Path, runtime: Runtime) -> None:
    for backend, format in (("openvino", "openvino"), ("onnxruntime", "onnx")):
        with pytest.raises(UserError, match=f"dfd export bundle={plain} format={format}"):
            opened(plain, backend, runtime)
        shutil.rmtree(run, ignore_errors=True)


def _edit(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def edit(graph: Path) -> None:
        content = (graph / name).read_bytes()
        assert old in content
        (graph / name).write_bytes(content.replace(old, new))

    return edit


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda graph: (graph / "model.onnx").unlink(), "model.onnx is missing"),
        (lambda graph: (graph / "graph.yaml").unlink(), "graph.yaml is missing: the export was not finished"),
        (_edit("model.onnx", b"images_0", b"images_x"), "model.onnx is damaged, or was edited"),
        (_edit("graph.yaml", b"precision: fp32", b"precision: int8"), "graph.yaml is damaged, or "),
        (lambda graph: (graph / "graph.yaml").write_bytes(b"\xff\xfe"), "graph.yaml is damaged: it is not text"),
        (lambda graph: (graph / "graph.yaml").write_text("version: 1\n"), "graph.yaml is damaged, or "),
    ],
)
def test_a_spoiled_graph_is_refused_and_not_passed_over(
    run: Path, runtime: Runtime, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(run / "graph")
    with pytest.raises(UserError, match=message):
        opened(run / "bundle", "auto", runtime)


def _card(run: Path, **changes: object) -> None:
    """Change the card, its checksum along with it."""
    card = graphs.read_card(run / "graph")
    (run / "graph" / "graph.yaml").unlink()
    graphs.write(run / "graph", {**card, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bundle": {"name": "other", "sha256": "0" * 64}}, "is the graph of another bundle"),
        ({"inputs": []}, "wants images in another form"),
        ({"version": 9}, "version 9 is not known"),
        ({"outputs": []}, "is damaged"),
        ({"inputs": [{"preprocessing": {"size": 32}}]}, "is damaged: preprocessing is incomplete"),
        ({"format": "torchscript"}, "is damaged"),
        ({"precision": "int4"}, "is damaged"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    run: Path, runtime: Runtime, changes: dict[str, object], message: str
) -> None:
    _card(run, **changes)
    with pytest.raises(UserError, match=message):
        opened(run / "bundle", "auto", runtime)


def test_a_graph_of_other_weights_is_refused(run: Path, runtime: Runtime) -> None:
    other: Bundle = tiny_bundle(seed=5)
    shutil.rmtree(run / "bundle")
    save(other, run / "bundle")
    with pytest.raises(UserError, match="is the graph of another bundle"):
        opened(run / "bundle", "auto", runtime)


def test_a_file_that_is_no_onnx_is_one_message(run: Path, runtime: Runtime) -> None:
    (run / "graph" / "model.onnx").write_bytes(b"nothing")
    _card(run)
    with pytest.raises(UserError, match="can't be opened by ONNX Runtime"):
        opened(run / "bundle", "auto", runtime)


def test_a_file_that_is_another_graph_is_refused(run: Path, runtime: Runtime) -> None:
    _edit("model.onnx", b"images_0", b"images_9")(run / "graph")
    _card(run)
    with pytest.raises(UserError, match="is not the graph that its card describes"):
        opened(run / "bundle", "auto", runtime)


def test_a_graph_has_one_precision(run: Path, runtime: Runtime) -> None:
    other = start(RuntimeConfig(device="cpu", precision="bf16"), cpu_bf16=False)
    with pytest.raises(UserError, match="runtime.precision=bf16: .* computes in fp32"):
        opened(run / "bundle", "auto", other)


def test_a_missing_package_is_named(run: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    _card(run, format="openvino", precision="fp32")
    (run / "graph" / "model.xml").touch()
    _card(run)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match="OpenVINO is not installed; run pip install openvino"):
        opened(run / "bundle", "openvino", runtime)


def test_a_device_that_the_engine_lacks_is_told(run: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    on_gpu = replace(runtime, accelerator=type("Gpu", (), {"device": torch.device("cuda")})())
    with pytest.raises(UserError, match=r"backend=onnxruntime has no cuda here"):
        opened(run / "bundle", "onnxruntime", on_gpu)
