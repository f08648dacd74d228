import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dfd.errors import UserError
from dfd.gan.discriminator import Discriminator, DiscriminatorShape, MinibatchDeviation, Trunk
from dfd.gan.frequency import Spectrum, residual

EVERY = ("both", "image", "frequency")


def small(resolution: int = 32, branches: str = "both") -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(DiscriminatorShape(resolution, 512, 16, branches, 4))


def images(n: int = 4, side: int = 32, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("resolution", [32, 64, 128, 256])
def test_logits_of_every_resolution(resolution: int) -> None:
    discriminator = small(resolution)
    logits = discriminator(images(2, resolution))
    assert logits.shape == (2,)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("branches", EVERY)
def test_features_are_those_of_the_branches_that_are_on(branches: str) -> None:
    discriminator = small(branches=branches)
    trunk = discriminator.trunk
    assert list(trunk.widths) == (["image", "frequency"] if branches == "both" else [branches])
    assert trunk(images()).shape == (4, trunk.num_features) == (4, sum(trunk.widths.values()))
    discriminator(images()).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in discriminator.parameters())


def test_widths_say_where_each_branchs_features_are() -> None:
    trunk = small().trunk.eval()
    before = trunk(images())
    with torch.no_grad():
        trunk.branches["frequency"].linear.bias += 5
    changed = (trunk(images()) != before).any(dim=0)
    assert not changed[: trunk.widths["image"]].any()
    assert changed[trunk.widths["image"] :].any()


def test_the_frequency_branch_does_not_see_brightness() -> None:
    trunk = small(branches="frequency").trunk.eval()
    assert torch.allclose(trunk(images() + 0.3), trunk(images()), atol=1e-4)


@pytest.mark.parametrize("branches", EVERY)
def test_in_evaluation_an_images_answer_is_its_own(branches: str) -> None:
    discriminator = small(branches=branches)
    discriminator(images(8))
    discriminator.eval()
    alone = discriminator(images()[:1])
    assert torch.allclose(discriminator(images())[:1], alone, atol=1e-5)
    assert torch.allclose(discriminator(torch.cat([images()[:1], images(6, seed=9) * 3]))[:1], alone, atol=1e-5)


def test_in_training_neighbours_count() -> None:
    discriminator = small(branches="image")
    alike = images()[:1].repeat(4, 1, 1, 1)
    assert not torch.allclose(discriminator(alike)[:1], discriminator(images())[:1], atol=1e-4)


def test_the_running_deviation_moves_in_training_alone() -> None:
    layer = MinibatchDeviation(group=2)
    x = torch.tensor([0.0, 0.0, 4.0, 6.0]).view(4, 1, 1, 1)  # groups (0, 4) and (0, 6): deviations 2 and 3
    y = layer(x)
    assert torch.allclose(y[:, 1].flatten(), torch.tensor([2.0, 3.0, 2.0, 3.0]))
    assert layer.mean.item() == pytest.approx(2.5)
    layer(x * 0)
    assert layer.mean.item() == pytest.approx(1.25, abs=1e-3)
    for _ in range(150):
        layer(x * 0)
    settled = layer.mean.item()
    layer(x)
    assert layer.mean.item() - settled == pytest.approx(0.01 * (2.5 - settled), rel=1e-3)
    layer.eval()
    before = layer.mean.item()
    assert torch.allclose(layer(x)[:, 1], torch.tensor(before))
    assert layer.mean.item() == before


@pytest.mark.parametrize(("n", "size"), [(8, 4), (6, 3), (7, 1), (2, 2), (1, 1)])
def test_groups_divide_the_batch(n: int, size: int) -> None:
    x = torch.randn(n, 2, 4, 4)
    y = MinibatchDeviation(group=4)(x)
    assert torch.equal(y[:, :2], x)
    groups = x.view(size, n // size, 2, 4, 4)
    wanted = groups.std(dim=0, correction=0).mean(dim=(1, 2, 3)).repeat(size)
    assert torch.allclose(y[:, 2, 0, 0], wanted, atol=1e-3)


@pytest.mark.parametrize("branches", EVERY)
def test_r1_agrees_with_differences(branches: str) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(DiscriminatorShape(32, 64, 8, branches, 4)).double()
    x = images(2).double().requires_grad_()
    weights = list(discriminator.parameters())
    directions = [torch.randn_like(weight) for weight in weights]

    def penalty() -> Tensor:
        return torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)[0].square().sum()

    gradients = torch.autograd.grad(penalty(), weights, allow_unused=True)
    pairs = zip(gradients, directions, strict=True)
    slope = sum((gradient * direction).sum() for gradient, direction in pairs if gradient is not None)
    values, step = [], 1e-6
    for move in (step, -2 * step):
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight.add_(direction, alpha=move)
        values.append(penalty().item())
    assert float(slope) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-3)


def test_r1_is_finite_for_a_flat_image() -> None:
    discriminator = small()
    x = torch.zeros(4, 3, 32, 32, requires_grad=True)
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in discriminator.parameters())


def test_bf16_is_close_to_fp32() -> None:
    discriminator = small(64).eval()
    wanted = discriminator.trunk(images(8, 64))
    with torch.autocast("cpu", torch.bfloat16):
        features = discriminator.trunk(images(8, 64))
        assert discriminator(images(8, 64)).dtype == torch.float32
    assert features.dtype == torch.float32
    assert (features - wanted).std() < 0.02 * wanted.std()


@given(
    st.sampled_from([32, 64, 128, 256]),
    st.integers(64, 99999),
    st.integers(8, 1024),
    st.sampled_from(EVERY),
    st.integers(2, 64),
)
def test_a_shape_is_read_back_from_its_name(resolution: int, base: int, most: int, branches: str, group: int) -> None:
    shape = DiscriminatorShape(resolution, base, most, branches, group)
    assert DiscriminatorShape.parse(shape.name()) == shape
    assert DiscriminatorShape.is_name(shape.name())


def test_the_name_is_as_documented() -> None:
    assert DiscriminatorShape(64, 4096, 128, "both", 4).name() == "gan_discriminator-r64-b4096-m128-g4-both"


@pytest.mark.parametrize(
    "name",
    [
        "resnet50",
        "gan_discriminator",
        "gan_discriminator-r64-b4096-m128-g4-all",
        "gan_discriminator-r64-b4096-m128-g4-both ",
        "gan_discriminator-r64-b-m128-g4-both",
        "gan_discriminator-r48-b4096-m128-g4-both",
        "",
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="names no discriminator|gan.resolution=48"):
        DiscriminatorShape.parse(name)


def test_the_state_holds_everything() -> None:
    trained = small()
    trained(images() * 2)
    other = Trunk(trained.trunk.shape)
    other.load_state_dict(trained.trunk.state_dict())
    assert torch.equal(other.eval()(images()), trained.trunk.eval()(images()))


def test_the_residual_has_no_picture_but_the_finest_detail() -> None:
    ramp = torch.linspace(-1, 1, 32).expand(1, 3, 32, 32)
    assert torch.allclose(residual(ramp), torch.zeros(()), atol=1e-5)
    checkered = torch.ones(1, 3, 32, 32)
    checkered[..., ::2] = -1
    assert torch.allclose(residual(checkered)[..., 2:-2, 2:-2], 8 * checkered[..., 2:-2, 2:-2], atol=1e-4)


@pytest.mark.parametrize("resolution", [32, 64])
def test_white_noise_has_a_flat_spectrum_and_a_wave_a_peak(resolution: int) -> None:
    spectrum = Spectrum(resolution)
    noise = torch.randn(200, 3, resolution, resolution, generator=torch.Generator().manual_seed(0))
    power = ((spectrum(noise) - 1) * 2).exp().mean(dim=0)
    assert torch.allclose(power, torch.ones(()), atol=0.25)
    wave = torch.cos(torch.arange(resolution) * 2 * torch.pi / 4).expand(1, 3, resolution, resolution)
    rings = spectrum(wave).view(3, -1)[0, : min(32, resolution // 2)]
    assert rings.argmax().item() == int(0.25 / 0.5**0.5 * len(rings))
