import copy
import shutil
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dfd.errors import UserError
from dfd.gan.generator import Generator, GeneratorShape, mix


def small(resolution: int = 32, **changes: int) -> Generator:
    torch.manual_seed(0)
    sizes = {"latent": 16, "mapping_layers": 2, "channel_base": 256, "channel_max": 16} | changes
    generator = Generator(GeneratorShape(resolution, **sizes))
    for layer in generator.convolutions:  # noise has no strength at first
        torch.nn.init.constant_(layer.noise_strength, 0.3)
    return generator


def latents(n: int = 3, width: int = 16, seed: int = 0) -> Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("resolution", [32, 64, 128, 256])
def test_images_of_every_resolution(resolution: int) -> None:
    generator = small(resolution)
    images = generator(latents(2))
    assert images.shape == (2, 3, resolution, resolution)
    assert images.dtype == torch.float32
    assert images.std() > 0.1
    assert images[0].sub(images[1]).abs().max() > 0.01


def test_other_resolutions_are_refused() -> None:
    with pytest.raises(UserError, match=r"gan\.resolution=48"):
        small(48)


def test_every_vector_w_reaches_the_image_and_every_parameter_learns() -> None:
    generator = small()
    w = generator.map(latents())[:, None].repeat(1, generator.layers, 1)
    w.retain_grad()
    generator.synthesize(w).square().sum().backward()
    assert w.grad is not None
    assert (w.grad.abs().amax(dim=(0, 2)) > 0).all()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in generator.parameters())


def test_one_w_an_image_is_the_same_w_for_all_layers() -> None:
    generator = small()
    w = generator.map(latents())
    each = w[:, None].expand(-1, generator.layers, -1)
    assert torch.equal(generator.synthesize(w, "none"), generator.synthesize(each, "none"))


@given(st.floats(0.1, 100))
def test_the_length_of_z_does_not_matter(factor: float) -> None:
    generator = small()
    assert torch.allclose(generator.map(latents() * factor), generator.map(latents()), atol=1e-4)


def test_tracking_moves_the_average_towards_the_batch() -> None:
    generator = small()
    w = generator.map(latents(64))
    generator.track(w, decay=0.75)
    assert torch.allclose(generator.w_average, 0.25 * w.mean(dim=0))
    for _ in range(60):
        generator.track(w, decay=0.75)
    assert torch.allclose(generator.w_average, w.mean(dim=0), atol=1e-5)
    assert not generator.w_average.requires_grad


def test_truncation() -> None:
    generator = small()
    generator.track(generator.map(latents(64)), decay=0)
    average = generator(latents(), truncation=0.0)
    assert torch.allclose(average, average[:1].expand_as(average), atol=1e-5)
    assert torch.allclose(average, generator(latents(seed=1), truncation=0.0), atol=1e-5)
    w = generator.map(latents())
    assert torch.allclose(generator.truncate(w, 1.0), w, atol=1e-6)
    halfway = generator.truncate(w, 0.5)
    assert torch.allclose(halfway, (w + generator.w_average) / 2, atol=1e-6)


def test_noise() -> None:
    generator = small()
    w = generator.map(latents())
    kinds = {kind: generator.synthesize(w, kind) for kind in ("fixed", "none", "random")}
    for kind in ("fixed", "none"):
        assert torch.equal(generator.synthesize(w, kind), kinds[kind])
    assert not torch.allclose(generator.synthesize(w, "random"), kinds["random"])
    assert not torch.allclose(kinds["fixed"], kinds["none"])
    torch.manual_seed(5)
    once = generator.synthesize(w, "random")
    torch.manual_seed(5)
    assert torch.equal(generator.synthesize(w, "random"), once)


def test_saved_weights_bring_the_fixed_noise_with_them() -> None:
    generator = small()
    torch.manual_seed(1)
    other = Generator(generator.shape)
    other.load_state_dict(generator.state_dict())
    assert torch.equal(other(latents()), generator(latents()))


def test_an_image_does_not_depend_on_its_batch() -> None:
    generator = small()
    assert torch.allclose(generator(latents(4))[1:2], generator(latents(4)[1:2]), atol=1e-5)


def test_bf16_is_close_to_fp32() -> None:
    generator = small(64)
    wanted = generator(latents(8))
    with torch.autocast("cpu", torch.bfloat16):
        images = generator(latents(8))
        assert torch.equal(generator.map(latents()), generator.map(latents()).float())
    assert images.dtype == torch.float32
    assert not torch.equal(images, wanted)
    assert (images - wanted).std() < 0.02 * wanted.std()


def test_path_lengths_have_finite_gradients() -> None:
    generator = small()
    w = generator.map(latents())[:, None].repeat(1, generator.layers, 1)
    images = generator.synthesize(w)
    (gradient,) = torch.autograd.grad((images * torch.randn_like(images)).sum(), w, create_graph=True)
    gradient.norm(dim=2).mean().backward()
    learns = {name for name, parameter in generator.named_parameters() if parameter.grad is not None}
    assert {
        "convolutions.0.weight",
        "convolutions.4.weight",
        "convolutions.1.style.weight",
        "mapping.0.weight",
    } <= learns
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in generator.parameters())


def test_second_derivatives_agree_with_differences() -> None:
    generator = small(channel_base=64, latent=8).double()
    w = torch.randn(1, generator.layers, 8, dtype=torch.float64, requires_grad=True)
    direction, step = torch.randn_like(w), 1e-5
    y = torch.randn(1, 3, 32, 32, dtype=torch.float64)

    def gradient(at: Tensor) -> Tensor:
        return torch.autograd.grad((generator.synthesize(at, "fixed") * y).sum(), at, create_graph=True)[0]

    (second,) = torch.autograd.grad((gradient(w) * direction).sum(), w)
    ahead, behind = (gradient(w + sign * step * direction) for sign in (1, -1))
    assert torch.allclose(second, (ahead - behind) / (2 * step), rtol=1e-3, atol=1e-4 * second.abs().max())


def test_mixing_takes_the_second_vector_from_some_layer_on() -> None:
    torch.manual_seed(0)
    n, layers = 2000, 8
    mixed = mix(torch.zeros(n, 4), torch.ones(n, 4), layers, probability=0.75)
    assert mixed.shape == (n, layers, 4)
    second = mixed[:, :, 0]
    assert (second.diff(dim=1) >= 0).all()
    assert not second[:, 0].any()
    assert second[:, -1].mean().item() == pytest.approx(0.75, abs=0.05)
    crossings = second[second[:, -1] == 1].argmax(dim=1)
    assert set(crossings.tolist()) == set(range(1, layers))


@pytest.mark.parametrize(("probability", "value"), [(0.0, 0.0), (1.0, 1.0)])
def test_mixing_never_and_always(probability: float, value: float) -> None:
    mixed = mix(torch.zeros(50, 4), torch.ones(50, 4), 6, probability)
    assert (mixed[:, -1] == value).all()


def compiled(generator: Generator, backend: str) -> Callable[..., Tensor]:
    torch.compiler.reset()
    return torch.compile(copy.deepcopy(generator).synthesize, fullgraph=True, backend=backend)


def test_synthesis_and_its_gradient_are_one_graph() -> None:
    generator = small(channel_base=64, latent=8)
    w = generator.map(latents(2, 8)).detach().requires_grad_()
    wanted, images = generator.synthesize(w, "fixed"), compiled(generator, "aot_eager")(w, "fixed")
    assert torch.allclose(images, wanted, atol=1e-4)
    gradients = [torch.autograd.grad(one.square().sum(), w)[0] for one in (images, wanted)]
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_synthesis_compiles() -> None:
    generator = small(channel_base=64, latent=8)
    w = generator.map(latents(2, 8)).detach()
    with torch.no_grad():
        assert torch.allclose(compiled(generator, "inductor")(w, "fixed"), generator.synthesize(w, "fixed"), atol=1e-4)
