"""The networks whose features generated and real images are compared in: Inception, a timm backbone, or a bundle's own.

Only figures of the published Inception weights are called FID. Features are computed in fp32 on every machine, so that
a figure does not depend on where it was measured.
"""

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from torch import nn

from dfd.config import FidConfig, ModelConfig
from dfd.data.dataset import image_tensor
from dfd.data.transforms import Preprocessing
from dfd.errors import UserError
from dfd.files import sha256_of
from dfd.inference.cache import digest_of
from dfd.models import bundle as bundles
from dfd.models.bundle import DetectorBundle
from dfd.models.detector import Detector, preprocessing_of
from dfd.models.weights import PROBE_SECONDS, build_pretrained, in_words_of
from dfd.runtime import Runtime, full_fp32

INCEPTION, BUNDLE = "inception", "bundle"
INCEPTION_WIDTH = 2048
# Of Inception's weights as FID is defined with them; the files of torch-fidelity and of pytorch-fid are this one.
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


class Extractor:
    """A network that gives features of images, [N, width].

    `label` is what a distance in these features is called: 'FID', or 'FD(name)'. `digest` (sha256) and `origin` say
    which weights; `preprocessing` takes an image to the network's input.
    """

    cpu_bf16 = False

    def __init__(
        self,
        name: str,
        label: str,
        digest: str,
        origin: str,
        network: nn.Module,
        preprocessing: Preprocessing,
        runtime: Runtime,
    ) -> None:
        self.name, self.label, self.digest, self.origin = name, label, digest, origin
        self._network = runtime.place(network.eval())
        self.backbone = network.backbone if isinstance(network, Detector) else network  # a head has no part in features
        self.preprocessing = preprocessing
        self.width = int(getattr(network, "width", INCEPTION_WIDTH))
        self._runtime = runtime

    def eval(self) -> "Extractor":
        """Itself: it is never trained."""
        return self

    def features(self, inputs: torch.Tensor) -> torch.Tensor:
        """Network inputs uint8 [N, 3, H, W] on the device to features float32 [N, width]."""
        with torch.autocast(inputs.device.type, enabled=False), full_fp32():
            if isinstance(self._network, Detector):
                return self._network.features(inputs).float()
            return self._network(inputs)[0].float()

    @torch.inference_mode()
    def features_of_arrays(self, images: np.ndarray, batch_size: int) -> np.ndarray:
        """Images uint8 RGB [N, H, W, 3] of one size to features float32 [N, width], in this process."""
        parts = [np.empty((0, self.width), np.float32)]
        for start in range(0, len(images), batch_size):
            batch = [image_tensor(self.preprocessing(image)) for image in images[start : start + batch_size]]
            inputs = torch.stack(batch).to(self._runtime.device)
            if self._runtime.channels_last:
                inputs = inputs.to(memory_format=torch.channels_last)
            parts.append(self.features(inputs).cpu().numpy())
        return np.concatenate(parts)


class AsItIs(Preprocessing):
    """For a network that resizes by itself: an image is its input, of whatever size."""

    def __call__(self, image: np.ndarray, offset: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
        """The image."""
        return image


def extractor_of(config: FidConfig, runtime: Runtime) -> Extractor:
    """The network that `config` names, on the runtime's device.

    Raises UserError if its weights can't be had, are damaged, or are those of an ensemble.
    """
    if config.bundle and config.backbone != BUNDLE:
        raise UserError(f"fid.bundle={config.bundle} goes with fid=bundle, and not with fid={config.name}")
    if config.backbone == INCEPTION:
        return _inception(config, runtime)
    if config.backbone == BUNDLE:
        return _of_bundle(config, runtime)
    return _of_timm(config, runtime)


def _of_timm(config: FidConfig, runtime: Runtime) -> Extractor:
    model = ModelConfig(
        config.name, config.backbone, weights=config.weights, weights_package=config.weights_package, freeze="backbone"
    )
    try:
        detector, origin = build_pretrained(model, preprocessing_of(model))
    except UserError as error:
        raise UserError(_in_fid_words(str(error), config)) from None
    label = f"FD({config.name})"
    return Extractor(config.name, label, digest_of(detector), origin, detector, detector.preprocessing, runtime)


def _in_fid_words(message: str, config: FidConfig) -> str:
    """What is said of a model's settings, said of fid's, which have no random weights as a way out."""
    lines = [line for line in message.splitlines() if "model.pretrained=" not in line.partition("  ")[2][:20]]
    told = "\n".join(lines).replace(", or model.pretrained=false to start from random weights", "")
    told = told.replace("model.weights=FILE.safetensors", "fid.weights=FILE.safetensors  ")
    told = in_words_of("fid", told)
    return told + ("\n" + _PACKAGED if "Ways out" in told else "")


_PACKAGED = "  fid=efficientnet_lite0           another network, whose weights come with the installation: no FID then"


def _of_bundle(config: FidConfig, runtime: Runtime) -> Extractor:
    folder = bundles.find(config.bundle, setting="fid.bundle")
    bundle = bundles.load(folder)
    if not isinstance(bundle, DetectorBundle):
        raise UserError(
            f"fid.bundle={folder} is an ensemble, which has features of several networks; accepted is the bundle of "
            f"one network, such as {folder / bundles.MEMBERS / '0'}"
        )
    label = f"FD({bundle.name})"
    return Extractor(
        bundle.name, label, bundle.sha256, f"bundle {folder}", bundle.detector, bundle.preprocessing, runtime
    )


def _inception(config: FidConfig, runtime: Runtime) -> Extractor:
    path = Path(config.weights) if config.weights else _published_weights()
    network = _load_inception(path, "fid.weights" if config.weights else "the kept download")
    digest = sha256_of(path)
    published = digest == INCEPTION_SHA256
    if not published and not config.weights:
        raise UserError(f"{path} is damaged: its sha256 is {digest}, and not {INCEPTION_SHA256}. Delete it")
    label = "FID" if published else f"FD({path.name})"
    preprocessing = AsItIs(299, "resize", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return Extractor(config.name, label, digest, f"file {path.name}", network, preprocessing, runtime)


def _load_inception(path: Path, what: str) -> nn.Module:
    """torch-fidelity's Inception v3 with the weights of a file. Raises UserError if they are not Inception's."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    _check_plain(path, what)
    try:
        return FeatureExtractorInceptionV3(INCEPTION, [str(INCEPTION_WIDTH)], feature_extractor_weights_path=str(path))
    except RuntimeError as error:
        told = " ".join(" ".join(str(error).splitlines()[:2]).split())
        raise UserError(f"{what}={path} does not fit torch-fidelity's Inception: {told[:200]}") from None


def _check_plain(path: Path, what: str) -> None:
    """Refuse a file that holds more than tensors: torch-fidelity would run the code in it."""
    if not path.is_file():
        raise UserError(f"{what}={path}: no such file; accepted is a .pth file with the weights of Inception v3")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # by what is wrong with the file: zip, pickle and more
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{what}={path} is damaged, or no file of plain weights: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UserError(f"{what}={path} holds no table of weights; accepted are those of Inception v3")


def _published_weights() -> Path:
    """The file where torch keeps torch-fidelity's weights, downloaded on first use."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    path = Path(torch.hub.get_dir()) / "checkpoints" / urlsplit(URL_INCEPTION_V3).path.rpartition("/")[2]
    if path.is_file():
        return path
    try:
        _probe(URL_INCEPTION_V3)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), hash_prefix=INCEPTION_SHA256)
    except (OSError, RuntimeError) as error:
        reason = str(getattr(error, "reason", error)).splitlines()[0]
        raise UserError(
            f"the weights of Inception cannot be reached at {URL_INCEPTION_V3}: {reason}. Ways out:\n"
            "  connect to the network once; the weights are then kept in the cache\n"
            "  fid.weights=FILE                 the same weights in a local file\n" + _PACKAGED
        ) from None
    return path


def _probe(url: str) -> None:
    """Fail within seconds where there is no network. Raises OSError."""
    try:
        request = urllib.request.Request(url, method="HEAD")
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return  # it answered
