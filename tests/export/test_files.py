"""The graph of a bundle says what its networks say, in each engine, at any batch size."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from dfd.config import RuntimeConfig
from dfd.ensemble.combiners import Majority
from dfd.export.description import describe
from dfd.export.make import make_graph
from dfd.export.network import Exported
from dfd.export.onnx_file import write_onnx
from dfd.export.openvino_file import convert, write_openvino
from dfd.inference.backends import engine_of
from dfd.inference.engine import TorchEngine
from dfd.inference.graph import Graph
from dfd.models.bundle import DetectorBundle, EnsembleBundle
from dfd.models.detector import build
from dfd.runtime import Runtime, start
from tests.export.conftest import inputs_of
from tests.factories import tiny_bundle, tiny_ensemble, tiny_model, tiny_preprocessing

OUTPUTS = ["values", "logit", "prob", "member_logits"]


def bundle_of(backbone: str, size: int, units: int = 1) -> DetectorBundle:
    torch.manual_seed(0)
    detector = build(tiny_model(backbone=backbone, input_size=size, units=units), tiny_preprocessing(size=size)).eval()
    with torch.no_grad():
        detector.linear.weight.mul_(100)
    return replace(tiny_bundle(), detector=detector)


@pytest.mark.parametrize(
    ("backbone", "size", "units"),
    [
        ("test_vit.r160_in1k", 32, 1),
        ("test_vit.r160_in1k", 32, 3),
        ("tf_mobilenetv3_small_minimal_100", 32, 1),  # TensorFlow's padding
        ("gan_discriminator-r32-b256-m8-g4-both", 32, 1),  # Fourier transform
    ],
)
def test_every_kind_of_backbone_says_the_same_at_any_batch_size(
    backbone: str, size: int, units: int, place: Path, runtime: Runtime
) -> None:
    bundle = bundle_of(backbone, size, units)
    reference = TorchEngine(bundle, runtime)
    graph = engine_of(make_graph(place, reference, "onnx", "fp32", None), bundle, runtime)
    for n in (1, 2, 5):
        inputs = inputs_of(reference, n)
        with torch.inference_mode():
            expected = reference(inputs).numpy()
        assert np.abs(graph(inputs).numpy() - expected).max() < 1e-3
        assert expected.shape == (n, 1) and np.isfinite(expected).all()


@pytest.mark.parametrize("format", ["onnx", "openvino"])
@pytest.mark.parametrize("height", [200.0, -200.0])
def test_units_far_from_zero_add_up_in_every_engine(format: str, height: float, place: Path, runtime: Runtime) -> None:
    bundle = bundle_of("test_vit.r160_in1k", 32, units=3)
    with torch.no_grad():
        bundle.detector.linear.bias.copy_(torch.tensor([height, height - 1, height - 50]))
    reference = TorchEngine(bundle, runtime)
    graph = engine_of(make_graph(place, reference, format, "fp32", None), bundle, runtime)
    inputs = inputs_of(reference, 3)
    with torch.inference_mode():
        assert graph(inputs).numpy() == pytest.approx(reference(inputs).numpy(), abs=1e-2)


@dataclass(frozen=True)
class Made:
    """An ensemble's graph as an ONNX file and as OpenVINO's."""

    bundle: EnsembleBundle
    onnx: Path
    graphs: dict[str, Graph]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    bundle, top = tiny_ensemble(Majority(2)), tmp_path_factory.mktemp("graphs")
    engine = TorchEngine(bundle, start(RuntimeConfig(device="cpu", precision="fp32"), cpu_bf16=False))
    network = Exported(bundle, engine.joint)
    about = describe(bundle, engine.joint, network, engine.width)
    for name in ("onnx", "openvino"):
        (top / name).mkdir()
    write_onnx(top / "onnx" / "model.onnx", network, about)
    write_openvino(top / "openvino" / "model.xml", convert(top / "onnx" / "model.onnx"), about)
    cards = {name: {"format": name, "precision": "fp32", **about.to_dict()} for name in ("onnx", "openvino")}
    return Made(bundle, top / "onnx" / "model.onnx", {name: Graph(top / name, card) for name, card in cards.items()})


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_one_graph_holds_an_ensemble_and_its_combiner(format: str, made: Made, runtime: Runtime) -> None:
    reference = TorchEngine(made.bundle, runtime)
    graph = engine_of(made.graphs[format], made.bundle, runtime)
    inputs = inputs_of(reference, 6)
    with torch.inference_mode():
        values = reference(inputs).numpy()
    found = graph.outputs(inputs, OUTPUTS)
    logit = reference.logits(values)
    assert np.abs(found["values"] - values).max() < 1e-4
    assert np.abs(found["logit"] - logit).max() < 1e-4
    assert np.abs(found["prob"] - made.bundle.calibration.prob(logit)).max() < 1e-5
    assert np.abs(found["member_logits"] - reference.member_logits(values)).max() < 1e-4


def test_an_onnx_file_explains_itself_and_names_no_place_of_this_machine(made: Made) -> None:
    assert [path.name for path in made.onnx.parent.iterdir()] == ["model.onnx"]
    model = onnx.load(made.onnx)
    told = {each.key: each.value for each in model.metadata_props}
    forms = [one["preprocessing"] for one in json.loads(told["inputs"])]
    assert forms == [each.preprocessing.to_dict() for each in made.bundle.detectors]
    assert json.loads(told["labels"]) == {"real": 0, "fake": 1}
    assert json.loads(told["calibration"])["unsure_high"] == made.bundle.calibration.unsure_high
    assert json.loads(told["bundle"])["members"] == ["first", "second"]
    shapes = [one.type.tensor_type.shape.dim for one in model.graph.input]
    assert [(dims[0].dim_param, dims[2].dim_value) for dims in shapes] == [("n", 32), ("n", 48)]
    content = made.onnx.read_bytes()
    assert b"site-packages" not in content and str(Path(__file__).parents[2]).encode() not in content
