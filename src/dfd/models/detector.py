"""The detector: a timm backbone under a linear head that gives the logit of 'fake'."""

import math
from typing import Any

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from dfd.config import ModelConfig
from dfd.data.pixels import as_pixels
from dfd.data.transforms import Preprocessing
from dfd.errors import UserError
from dfd.gan.discriminator import DiscriminatorShape, Trunk
from dfd.models.tokens import TokenFeatures

Backbone = Any  # a timm model, or a GAN's discriminator: an nn.Module with attributes that nn.Module does not declare


class Detector(nn.Module):
    """Images in 0..255, [N, 3, size, size], to the logit that they are fake, [N].

    Normalisation is part of the network, so that training, inference and export cannot disagree on it.
    `width` is the number of features F that the head reads; `cpu_bf16` says whether bf16 pays on CPUs that have it.
    The head has one linear unit, or several, see `of_any_kind`.
    """

    backbone: Backbone
    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, backbone: Backbone, preprocessing: Preprocessing, config: ModelConfig) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.cpu_bf16 = config.cpu_bf16
        self.backbone = backbone
        # 'num_features' is the width of the last feature map; VGG's pooled features are wider.
        self.width = int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(self.width, config.units))
        self.reset_head()
        # Not in the state dict: bundle.yaml states them, and one fact has one place.
        self.register_buffer("scale", _per_channel(preprocessing.std) * 255, persistent=False)
        self.register_buffer("shift", _per_channel(preprocessing.mean) * 255, persistent=False)

    @property
    def linear(self) -> nn.Linear:
        """The head's linear units, K of them."""
        return self.head[1]  # type: ignore[return-value]

    def reset_head(self) -> None:
        """Small random weights from torch's generator, and a bias that makes the logit 0."""
        nn.init.constant_(self.linear.bias, -math.log(self.linear.out_features))
        nn.init.normal_(self.linear.weight, std=0.01)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Penultimate features [N, F]."""
        return self.backbone((images.float() - self.shift) / self.scale)

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N, F] to logits [N]; in fp32 always, so that logits from kept features are those of the network."""
        with torch.autocast(features.device.type, enabled=False):
            return of_any_kind(self.head(features.float()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images to logits [N]."""
        return self.classify(self.features(images))


def of_any_kind(units: torch.Tensor) -> torch.Tensor:
    """What each of K units says of an image, [N, K], as one logit of 'fake', [N].

    A unit gives the log of the odds of its kind of fake against real. An image is of one kind, so that the odds add up
    (multinomial logistic regression with 'real' as the class that the others are compared with). Under one unit kinds
    would have to agree: what tells one from real speaks against another.
    """
    if units.shape[-1] == 1:
        return units.squeeze(-1)
    highest = units.amax(dim=-1, keepdim=True)  # taken off before exp, which OpenVINO's own logsumexp does not do
    return highest.squeeze(-1) + (units - highest).exp().sum(dim=-1).log()


@torch.no_grad()
def rescale_head(detector: Detector, temperature: float, bias: float) -> None:
    """Make every logit z of a head with one unit into z / temperature + bias."""
    detector.linear.weight.div_(temperature)
    detector.linear.bias.div_(temperature).add_(bias)


@torch.no_grad()
def average_heads(detector: Detector, heads: list[dict[str, torch.Tensor]]) -> None:
    """Give the detector the head whose logit is the mean of those of `heads`.

    These are states of `detector.head`, of one unit each.
    """
    detector.head.load_state_dict({key: torch.stack([head[key] for head in heads]).mean(dim=0) for key in heads[0]})


def build(config: ModelConfig, preprocessing: Preprocessing) -> Detector:
    """The detector of `config` with random weights; see `models.weights` for pretrained ones."""
    return assemble(config, create_backbone(config), preprocessing)


def build_to_fill(config: ModelConfig, preprocessing: Preprocessing) -> Detector:
    """The detector of `config` for `load_state_dict(weights, assign=True)`: no time is spent on random weights."""
    with torch.device("meta"):
        backbone = create_backbone(config)
    if set(dict(backbone.named_buffers())) - set(backbone.state_dict()):  # what the weights' file would not fill
        return build(config, preprocessing)
    return assemble(config, backbone, preprocessing)


def assemble(config: ModelConfig, backbone: Backbone, preprocessing: Preprocessing) -> Detector:
    """Set the backbone to the input size and put the head on it."""
    _set_input_size(config, backbone, preprocessing.size)
    if config.layers:
        backbone = TokenFeatures(backbone, _checked_layers(config, backbone))
    return Detector(backbone, preprocessing, config)


def create_backbone(config: ModelConfig, pretrained: bool = False) -> Backbone:
    """timm's model without its classifier, or the trunk of a GAN's discriminator."""
    if DiscriminatorShape.is_name(config.backbone):
        return Trunk(DiscriminatorShape.parse(config.backbone))
    options: dict[str, Any] = {"drop_path_rate": config.drop_path} if config.drop_path > 0 else {}
    _known(config.backbone)
    try:
        return timm.create_model(config.backbone, pretrained=pretrained, num_classes=0, **options)
    except TypeError as error:
        if "drop_path_rate" in str(error):
            raise UserError(
                f"model.drop_path={config.drop_path}: {config.name} has no stochastic depth; accepted is 0"
            ) from None
        raise


def preprocessing_of(config: ModelConfig) -> Preprocessing:
    """The backbone's own preprocessing, with the user's settings over it."""
    if DiscriminatorShape.is_name(config.backbone):
        return as_pixels(DiscriminatorShape.parse(config.backbone).resolution)
    own = _known(config.backbone)
    return Preprocessing(
        size=config.input_size or own.input_size[1],
        fit=config.fit,
        interpolation=config.interpolation or own.interpolation,
        mean=_triple("model.mean", config.mean or own.mean),
        std=_triple("model.std", config.std or own.std),
    )


def _checked_layers(config: ModelConfig, backbone: Backbone) -> list[int]:
    if not isinstance(backbone, VisionTransformer) or backbone.cls_token is None:
        raise UserError(
            f"model.layers={config.layers}: {config.name} is no plain vision transformer with class token; accepted: []"
        )
    blocks = len(backbone.blocks)
    if sorted(set(config.layers)) != config.layers or config.layers[-1] > blocks:
        raise UserError(f"model.layers={config.layers}: accepted are rising numbers from 1 to {blocks}")
    return config.layers


def _set_input_size(config: ModelConfig, backbone: Backbone, size: int) -> None:
    """Let a backbone with a fixed input size take another; convolutional ones take any."""
    if isinstance(backbone, Trunk):
        if size != backbone.shape.resolution:
            raise UserError(f"model.input_size={size}: {config.name} takes only {backbone.shape.resolution}")
        return
    native = backbone.pretrained_cfg["input_size"][1]
    if size == native or not backbone.pretrained_cfg.get("fixed_input_size"):
        return
    if not hasattr(backbone, "set_input_size"):
        raise UserError(f"model.input_size={size}: {config.backbone} takes only {native}")
    patch = backbone.patch_embed.patch_size[0]
    if size % patch:
        raise UserError(f"model.input_size={size}: {config.name} takes multiples of {patch}")
    backbone.set_input_size(img_size=(size, size))  # resamples the position embedding


def _known(name: str) -> Any:
    """What timm says of a backbone: input size, colours, filter. Raises UserError for a name or a tag it has not."""
    architecture = name.partition(".")[0]
    try:
        found = timm.models.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:
        tagged = timm.list_pretrained(f"{architecture}.*") or [architecture]
        raise UserError(
            f"model.backbone={name}: timm has no such weights of {architecture}; accepted: {', '.join(tagged)}"
        ) from None
    if found is None:  # not there, or a name of former versions, of which timm says nothing more
        from difflib import get_close_matches

        near = get_close_matches(architecture, timm.list_models(), n=3)
        raise UserError(f"model.backbone={name} is no timm model" + (f"; near: {', '.join(near)}" if near else ""))
    return found


def _triple(key: str, values: Any) -> tuple[float, float, float]:
    if len(values) != 3:
        raise UserError(f"{key}={list(values)} has {len(values)} numbers; accepted are 3, for red, green and blue")
    return tuple(float(value) for value in values)  # type: ignore[return-value]


def _per_channel(values: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
