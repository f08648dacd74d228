"""Losses of a GAN and their regularisers. Logits are high for real images.

Sources: Goodfellow et al. 2014 (non-saturating loss), Mescheder et al. 2018 (R1), Karras et al. 2020 (StyleGAN2: path
length, lazy regularisation) and Karras et al. 2020 (ADA: defaults for a resolution and batch size).

The penalties are differentiated twice. They switch autocast off and compute in fp32: their inner gradient is taken
within the forward pass, where autocast would round it too, and enters the loss squared.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

TINY = 1e-8


def generator_loss(fake_logits: Tensor) -> Tensor:
    """-log sigmoid of the generated images' logits [N], averaged: a scalar, fp32 or better."""
    return functional.softplus(-_exact(fake_logits)).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Cross-entropy of real against generated images, each averaged over its logits [N], then summed: a scalar."""
    return functional.softplus(-_exact(real_logits)).mean() + functional.softplus(_exact(fake_logits)).mean()


def r1_penalty(discriminator: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Mean squared length of the logit's gradient over an image: E |dD(x)/dx|^2, a scalar to multiply by gamma / 2.

    `images` [N, 3, R, R] are real ones as the discriminator gets them, already augmented. No gradient goes back
    through them. The discriminator runs here, in fp32, and its logits may have any shape with N first.
    """
    with torch.autocast(images.device.type, enabled=False):
        images = _exact(images.detach()).requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
        return gradient.square().flatten(1).sum(1).mean()


def r1_gamma(resolution: int, batch_size: int) -> float:
    """Strength of the R1 penalty that the ADA paper takes for images of `resolution` pixels a side."""
    return 0.0002 * resolution**2 / batch_size


def ema_kimg(batch_size: int) -> float:
    """Half-life of the generator's moving average in thousands of images: 10,000 at a batch of 32."""
    return batch_size * 10 / 32


def ema_decay(batch_size: int, kimg_half_life: float, images_seen: float, rampup: float) -> float:
    """What a step of `batch_size` images leaves of the moving average, 0..1.

    The half-life is at most `rampup` times the images seen so far, so that the first weights are soon forgotten;
    rampup 0 sets no such limit.
    """
    half_life = kimg_half_life * 1000
    if rampup > 0:
        half_life = min(half_life, rampup * images_seen)
    return 0.5 ** (batch_size / max(half_life, TINY))


def lazy(lr: float, beta2: float, interval: int) -> tuple[float, float]:
    """Adam's learning rate and beta2 (beta1 is 0) when a regulariser is applied every `interval` steps alone.

    StyleGAN2, appendix B: interval steps stand for interval + 1, the last of which is the regulariser's, so the penalty
    is multiplied by `interval`.
    """
    share = interval / (interval + 1)
    return lr * share, beta2**share


class PathLength:
    """Path length regularisation (StyleGAN2, section 3.2): a step in w should change the image by a constant amount.

    `mean` is the running mean of the path lengths, a scalar tensor on the device. It is of this process's images:
    average it over the ranks to keep them alike.
    """

    def __init__(self, decay: float, device: torch.device | str) -> None:
        self.decay = decay
        self.mean = torch.zeros((), device=device)

    def penalty(self, images: Tensor, w: Tensor) -> Tensor:
        """E (|J^T y| - mean)^2 for random images y, a scalar; moves `mean` towards the lengths.

        `images` [N, 3, R, R] come from `w` [N, L, latent], one latent vector a layer. The squared length is averaged
        over the L layers. y is normal and scaled by 1 / R, so that lengths do not depend on the resolution. Generate
        the images without autocast.
        """
        with torch.autocast(images.device.type, enabled=False):
            images = _exact(images)
            y = torch.randn_like(images) / math.sqrt(images.shape[2] * images.shape[3])
            (gradient,) = torch.autograd.grad((images * y).sum(), w, create_graph=True)
            # vector_norm's gradient is 0 where the length is 0; a square root's is infinite.
            lengths = torch.linalg.vector_norm(_exact(gradient), dim=(1, 2)) / math.sqrt(w.shape[1])
            self.mean = torch.lerp(self.mean.to(lengths.dtype), lengths.detach().mean(), self.decay)
            return (lengths - self.mean).square().mean()

    def state_dict(self) -> dict[str, Any]:
        """What the next penalty depends on."""
        return {"mean": self.mean.cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.mean = state["mean"].to(self.mean.device)


def _exact(values: Tensor) -> Tensor:
    """In fp32, or still in fp64."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
