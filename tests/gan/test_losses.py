import io
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.func import functional_call

from dfd.gan.losses import (
    PathLength,
    discriminator_loss,
    ema_decay,
    ema_kimg,
    generator_loss,
    lazy,
    r1_gamma,
    r1_penalty,
)


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_the_losses_are_cross_entropies(real: float, fake: float) -> None:
    prob_real, prob_fake = torch.tensor([real, fake], dtype=torch.float64).sigmoid().tolist()
    logits = torch.tensor([[real] * 3, [fake] * 3], dtype=torch.float64)
    assert generator_loss(logits[1]).item() == pytest.approx(-math.log(prob_fake), rel=1e-6)
    expected = -math.log(prob_real) - math.log1p(-prob_fake)
    assert discriminator_loss(logits[0], logits[1]).item() == pytest.approx(expected, rel=1e-3)


def test_the_generator_learns_from_images_that_fool_nobody() -> None:
    logits = torch.tensor([-50.0, 50.0], requires_grad=True)
    generator_loss(logits).backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == pytest.approx([-0.5, 0.0])


def test_losses_of_coarse_logits_are_fp32() -> None:
    logits = torch.tensor([0.1, -0.3], dtype=torch.bfloat16)
    assert generator_loss(logits).item() == pytest.approx(generator_loss(logits.float()).item(), rel=1e-6)
    assert discriminator_loss(logits, logits).dtype == torch.float32


class Smooth(nn.Module):
    """A small discriminator whose second derivatives exist everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.last = nn.Linear(16, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.first(images).tanh().flatten(1))


def test_r1_of_a_linear_discriminator_is_the_squared_length_of_its_weights() -> None:
    weights = torch.randn(3, 4, 4)
    penalty = r1_penalty(lambda images: (images * weights).sum((1, 2, 3)), torch.randn(5, 3, 4, 4))
    assert penalty.item() == pytest.approx(weights.square().sum().item(), rel=1e-5)


def test_r1_is_a_mean_over_images() -> None:
    images = torch.randn(6, 3, 4, 4)
    penalty = r1_penalty(lambda images: images.pow(3).sum((1, 2, 3)), images)
    assert penalty.item() == pytest.approx((3 * images**2).square().sum((1, 2, 3)).mean().item(), rel=1e-5)


def test_r1_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    network, images = Smooth().double(), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    step, length = 1e-6, torch.zeros((), dtype=torch.float64)
    with torch.no_grad():
        for place in range(48):
            shift = torch.zeros(48, dtype=torch.float64)
            shift[place] = step
            shift = shift.view(3, 4, 4)
            length += ((network(images + shift) - network(images - shift)) / (2 * step)).square().sum() / 2
    assert r1_penalty(network, images).item() == pytest.approx(length.item(), rel=1e-6)


def test_r1_gradient_on_the_weights_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    network, images = Smooth().double(), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    names, weights = zip(*network.named_parameters(), strict=True)

    def penalty(*values: Tensor) -> Tensor:
        return r1_penalty(lambda x: functional_call(network, dict(zip(names, values, strict=True)), x), images)

    assert gradcheck(penalty, weights, atol=1e-6)


def test_r1_leaves_the_images_out() -> None:
    images = torch.randn(2, 3, 4, 4, requires_grad=True)
    network = Smooth()
    r1_penalty(network, images * 2).backward()
    assert images.grad is None
    assert network.first.weight.grad is not None and network.first.weight.grad.abs().sum() > 0


def test_penalties_are_the_same_under_autocast() -> None:
    torch.manual_seed(0)
    network, images = Smooth(), torch.randn(2, 3, 4, 4)
    w, weights = torch.randn(2, 2, 4, requires_grad=True), torch.randn(4, 4)

    def both() -> tuple[float, float]:
        torch.manual_seed(1)
        return r1_penalty(network, images).item(), PathLength(0.5, "cpu").penalty(generate(w @ weights), w).item()

    plain = both()
    generated = generate(w @ weights)
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(1)
        assert r1_penalty(network, images).item() == plain[0]
        assert PathLength(0.5, "cpu").penalty(generated, w).item() == plain[1]


def generate(w: Tensor) -> Tensor:
    """Images [N, 3, 4, 4] from w [N, L, 4], smooth, and not the same for all layers."""
    rows = sum((layer + 1.0) * w[:, layer] for layer in range(w.shape[1]))
    assert isinstance(rows, Tensor)
    return torch.stack([torch.einsum("ni,nj->nij", rows.sin(), (rows * k).cos()) for k in (1, 2, 3)], 1)


def test_path_lengths_of_a_linear_generator() -> None:
    """image = A w has J = A: what is expected of |J^T y|^2 is |A|^2 / R^2."""
    torch.manual_seed(0)
    matrix = torch.randn(48, 4)
    w = torch.randn(20_000, 1, 4, requires_grad=True)
    images = (w[:, 0] @ matrix.T).view(-1, 3, 4, 4)
    squared = PathLength(0.0, "cpu").penalty(images, w).item()  # around a mean of 0
    assert squared == pytest.approx(matrix.square().sum().item() / 16, rel=0.05)


def test_path_lengths_do_not_depend_on_the_number_of_layers_or_the_resolution() -> None:
    torch.manual_seed(0)

    def squared(layers: int, size: int) -> float:
        w = torch.randn(20_000, layers, 3, requires_grad=True)
        images = w.sum(1)[:, :, None, None].expand(-1, 3, size, size)
        return PathLength(0.0, "cpu").penalty(images, w).item()

    assert squared(1, 4) == pytest.approx(3, rel=0.05)
    assert squared(1, 8) == pytest.approx(3, rel=0.05)
    assert squared(5, 4) == pytest.approx(3, rel=0.05)


def test_the_running_mean_follows_the_lengths() -> None:
    torch.manual_seed(0)
    w = torch.randn(500, 1, 3, requires_grad=True)
    images = 10 * w[:, 0, :, None, None].expand(-1, 3, 4, 4)
    path = PathLength(0.25, "cpu")
    penalties = [path.penalty(images, w).item() for _ in range(40)]
    mean_of_chi = 10 * math.sqrt(8 / math.pi)  # 3 degrees of freedom
    assert path.mean.item() == pytest.approx(mean_of_chi, rel=0.05)
    assert penalties[-1] == pytest.approx(300 - mean_of_chi**2, rel=0.2)


def test_path_length_gradient_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    w = torch.randn(2, 2, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)

    def penalty(weights: Tensor) -> Tensor:
        torch.manual_seed(1)
        path = PathLength(0.0, "cpu")  # its mean is a constant in the gradient, and has to be in the differences
        path.mean = torch.tensor(0.7, dtype=torch.float64)
        return path.penalty(generate(w @ weights), w)

    assert gradcheck(penalty, (weights,), atol=1e-6)


def test_a_generator_that_ignores_w_gets_no_nan() -> None:
    w = torch.randn(2, 2, 4, requires_grad=True)
    scale = torch.zeros((), requires_grad=True)
    PathLength(0.1, "cpu").penalty(scale * generate(w), w).backward()
    assert scale.grad is not None and scale.grad.isfinite()


def test_path_length_resumes() -> None:
    torch.manual_seed(0)
    w = torch.randn(8, 2, 4, requires_grad=True)
    path, again = PathLength(0.1, "cpu"), PathLength(0.1, "cpu")
    path.penalty(generate(w), w)
    file = io.BytesIO()
    torch.save(path.state_dict(), file)
    file.seek(0)
    assert not path.mean.requires_grad
    again.load_state_dict(torch.load(file, weights_only=True))
    assert again.mean.item() == path.mean.item() > 0


def test_the_papers_settings() -> None:
    assert r1_gamma(256, 64) == pytest.approx(0.2048)
    assert ema_kimg(32) == 10
    lr, beta2 = lazy(0.0025, 0.99, 16)
    assert lr == pytest.approx(0.0025 * 16 / 17) and beta2**17 == pytest.approx(0.99**16)


def test_half_of_the_moving_average_is_left_after_the_half_life() -> None:
    assert ema_decay(32, 10, 0, 0) ** (10_000 / 32) == pytest.approx(0.5)


def test_the_half_life_is_short_at_first() -> None:
    assert ema_decay(32, 10, 0, 0.05) == 0
    assert ema_decay(32, 10, 6400, 0.05) == pytest.approx(0.5 ** (32 / 320))
    assert ema_decay(32, 10, 10**6, 0.05) == ema_decay(32, 10, 0, 0)
