import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import gradcheck

from dfd.config import AdaConfig
from dfd.gan import color
from dfd.gan.augment import SHIFT, Augmentation, Draw, band_gains, blits, geometry
from dfd.gan.warp import move, resample, rotation, scaling, translation, weigh_bands

CATEGORIES = ("blit", "geometry", "color", "filter", "noise", "cutout")
angles = st.floats(-math.pi, math.pi)
factors = st.floats(0.25, 4)


def augmentation(*categories: str) -> Augmentation:
    return Augmentation(AdaConfig(name="test", **{name: name in categories for name in CATEGORIES}))


def random_images(n: int, size: int = 8, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def number(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def still(n: int = 1) -> Tensor:
    return torch.eye(3, dtype=torch.float64).repeat(n, 1, 1)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-9) -> bool:
    return bool((a - b).abs().max() < tolerance)


# The whole pipeline


def test_p_0_is_the_identity_bit_for_bit() -> None:
    images = random_images(4)
    images[0, 0, 0, 0] = -0.0
    before = torch.get_rng_state()
    result = augmentation(*CATEGORIES)(images, 0.0)
    assert torch.equal(result.view(torch.int32), images.view(torch.int32))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("p", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("categories", [*((name,) for name in CATEGORIES), CATEGORIES])
def test_shape_and_range_are_kept(categories: tuple[str, ...], p: float) -> None:
    images = random_images(40, 16)
    images[:10] *= 3
    torch.manual_seed(0)
    result = augmentation(*categories)(images, p)
    assert result.shape == images.shape and result.isfinite().all()
    assert (result.amax((1, 2, 3)) <= images.amax((1, 2, 3)).clamp(min=1)).all()
    assert (result.amin((1, 2, 3)) >= images.amin((1, 2, 3)).clamp(max=-1)).all()


def test_pixels_out_of_range_stay_visible() -> None:
    images = random_images(50) * 3
    result = augmentation("blit")(images, 1.0)
    assert torch.equal(result.abs().amax((1, 2, 3)) > 2, torch.ones(50, dtype=torch.bool))


def test_it_is_a_function_of_the_seed() -> None:
    images, augment = random_images(8), augmentation(*CATEGORIES)

    def result(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return augment(images, 0.7)

    assert torch.equal(result(1), result(1))
    assert not torch.equal(result(1), result(2))


def test_it_computes_in_fp32_under_autocast() -> None:
    images, augment = random_images(8), augmentation(*CATEGORIES)
    torch.manual_seed(0)
    plain = augment(images, 0.9)
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(0)
        assert torch.equal(augment(images, 0.9), plain)
    assert augment(images.bfloat16(), 0.9).dtype == augment(images.bfloat16(), 0.0).dtype == torch.float32


@pytest.mark.parametrize("categories", [*((name,) for name in CATEGORIES), CATEGORIES])
def test_the_gradient_agrees_with_finite_differences(categories: tuple[str, ...]) -> None:
    images = (random_images(2, 4) * 0.4).double().requires_grad_()

    def result(images: Tensor) -> Tensor:
        torch.manual_seed(3)
        return augmentation(*categories)(images, 0.8)

    assert gradcheck(result, (images,))


def test_the_gradient_reaches_every_image() -> None:
    images = random_images(40, 16).requires_grad_()
    augmentation(*CATEGORIES)(images, 0.5).sum().backward()
    assert images.grad is not None and (images.grad.abs().sum((1, 2, 3)) > 0).all()


def test_what_is_kept_between_calls_also_serves_training() -> None:
    augment = augmentation(*CATEGORIES)
    with torch.inference_mode():
        augment(random_images(2, 12), 0.5)  # a size of its own: the first call for it
    augment(random_images(2, 12).requires_grad_(), 0.5).sum().backward()


def test_nothing_waits_for_the_device() -> None:
    """Tensors without data raise where a number of theirs is asked for."""
    images, augment = random_images(2, 20), augmentation(*CATEGORIES)
    augment(images, 0.5)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert augment(mode.from_tensor(images), 0.5).shape == images.shape


def rate(*unchanged: float) -> float:
    return 1 - math.prod(unchanged)


@pytest.mark.parametrize("p", [0.1, 0.6])
@pytest.mark.parametrize("category", CATEGORIES)
def test_the_share_of_changed_images_is_what_p_says(category: str, p: float) -> None:
    n, size = 4000, 8
    expected = {
        # The other half of the mirrors, quarter of the turns and quarter of the shifts (at this size) move nothing.
        "blit": rate(1 - p / 2, 1 - p * 3 / 4, 1 - p * 3 / 4),
        "geometry": rate(1 - p, 1 - p, 1 - p, 1 - p),  # scaling, either rotation, stretching, shift
        "color": rate(1 - p, 1 - p, 1 - p / 2, 1 - p, 1 - p),
        "filter": rate(1 - p, 1 - p, 1 - p, 1 - p),
        "noise": p,
        "cutout": p,
    }[category]
    images = random_images(n, size)
    torch.manual_seed(0)
    changed = (augmentation(category)(images, p) != images).flatten(1).any(1).double().mean().item()
    assert abs(changed - expected) < 4.5 * math.sqrt(expected * (1 - expected) / n)  # one in 100,000 seeds fails


# Where pixels go


@given(angles, factors, factors, st.floats(-1, 1), st.floats(-1, 1))
def test_matrices_are_undone_by_those_of_the_opposite_change(
    angle: float, x: float, y: float, right: float, down: float
) -> None:
    there = scaling(number(x), number(y)) @ rotation(number(angle)) @ translation(number(right), number(down))
    back = translation(number(-right), number(-down)) @ rotation(number(-angle)) @ scaling(number(1 / x), number(1 / y))
    assert close(there @ back, still())
    assert there.det().item() == pytest.approx(x * y)


@given(st.integers(0, 2**32))
def test_blits_map_pixels_to_pixels(seed: int) -> None:
    torch.manual_seed(seed)
    size = 16
    matrix = blits(Draw(torch.zeros(20, 3, size, size), 1.0), size)
    pixels = matrix[:, :2, 2] * size / 2
    assert torch.equal(pixels, pixels.round()) and pixels.abs().max() <= round(SHIFT * size)
    turned = matrix[:, :2, :2].abs()
    assert turned.unique().tolist() == [0, 1] and torch.equal(turned.sum(1), torch.ones(20, 2))


def test_blits_take_every_place_alike() -> None:
    torch.manual_seed(0)
    matrix = blits(Draw(torch.zeros(8000, 3, 4, 4), 1.0), 4)[:, :2, :2].round()
    kinds, counts = matrix.flatten(1).unique(dim=0, return_counts=True)
    assert len(kinds) == 8 and (counts - 1000).abs().max() < 150  # mirrored or not, four turns


def test_geometry_draws_from_its_distributions() -> None:
    torch.manual_seed(0)
    inner = geometry(Draw(torch.zeros(20_000, 3, 4, 4, dtype=torch.float64), 1.0))
    scale, deviation = inner[:, :2, :2].det().log() / 2, 0.2 * math.log(2)
    assert scale.mean().abs() < 0.005 and scale.std().item() == pytest.approx(deviation, rel=0.03)
    singular = torch.linalg.svdvals(inner[:, :2, :2])
    stretch = (singular[:, 0] / singular[:, 1]).log() / 2
    assert stretch.square().mean().sqrt().item() == pytest.approx(deviation, rel=0.03)
    shift = torch.linalg.solve(inner[:, :2, :2], inner[:, :2, 2:]) / 2
    assert shift.std().item() == pytest.approx(SHIFT, rel=0.03)
    turn = torch.atan2(inner[:, 1, 0], inner[:, 0, 0])
    assert (torch.histc(turn, 8, -math.pi, math.pi) - 2500).abs().max() < 300


def test_pixels_are_copied_where_no_geometry_is_drawn() -> None:
    images = random_images(2).double()
    shift = translation(number(2 / 8), number(-1 / 8)).repeat(2, 1, 1)
    change = torch.cat((still(), rotation(number(0.3))))
    result = move(images, shift, change)
    columns, rows = [2, 3, 4, 5, 6, 7, 7, 6], [0, 0, 1, 2, 3, 4, 5, 6]  # mirrored at the edges
    assert torch.equal(result[0], images[0][:, rows][:, :, columns])
    assert torch.equal(result[1:], resample(images[1:], (shift @ change)[1:]))


def test_mirrors_and_turns_are_exact() -> None:
    images = random_images(1, 16)
    mirror = scaling(torch.tensor([-1.0]), torch.tensor([1.0]))
    assert torch.equal(move(images, mirror, None), images.flip(3))
    for turns in range(4):
        matrix = rotation(torch.tensor([turns * math.pi / 2]))
        assert torch.equal(move(images, matrix, None), images.rot90(turns, (2, 3)))
        assert torch.equal(move(images, mirror @ matrix, None), images.flip(3).rot90(turns, (2, 3)))


def blob(x: float, y: float, size: int = 32) -> Tensor:
    """A bright round spot at (x, y) in coordinates, [1, 3, size, size]."""
    at = (torch.arange(size, dtype=torch.float64) * 2 + 1) / size - 1
    return torch.exp(-((at - x) ** 2 + (at[:, None] - y) ** 2) / 0.02)[None, None].repeat(1, 3, 1, 1)


def centre(images: Tensor, near: Tensor) -> Tensor:
    """Of what is bright around `near`: its mirror images beyond the edges may have come into view."""
    size = images.shape[-1]
    at = (torch.arange(size, dtype=torch.float64) * 2 + 1) / size - 1
    weights = images[0, 0] * ((at - near[0]).square() + (at[:, None] - near[1]).square() < 0.3)
    weights = weights / weights.sum()
    return torch.stack(((weights.sum(0) * at).sum(), (weights.sum(1) * at).sum()))


@given(angles, st.floats(0.8, 1.3), st.floats(0.8, 1.3), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_a_spot_goes_where_the_inverse_matrix_says(angle: float, x: float, y: float, right: float, down: float) -> None:
    matrix = scaling(number(x), number(y)) @ rotation(number(angle)) @ translation(number(right), number(down))
    spot = number(0.2, -0.1, 1.0)
    expected = (matrix[0].inverse() @ spot)[:2]
    assert close(centre(resample(blob(0.2, -0.1), matrix), expected), expected, 0.003)


def test_resampling_without_a_change_keeps_smooth_images() -> None:
    assert close(resample(blob(0.2, 0.1), still()), blob(0.2, 0.1), 0.01)


def test_images_are_mirrored_at_the_edges_of_their_pixels() -> None:
    """A cosine with a peak at both edges is its own mirror image: nothing shows where the image ends."""
    at = (torch.arange(32, dtype=torch.float64) * 2 + 1) / 32 - 1
    right = 0.3
    images = torch.cos(4 * math.pi * at).repeat(1, 3, 32, 1)
    moved = torch.cos(4 * math.pi * (at + 2 * right)).repeat(1, 3, 32, 1)
    assert close(resample(images, translation(number(right), number(0))), moved, 0.03)


def test_a_flat_image_stays_flat() -> None:
    torch.manual_seed(0)
    images = torch.full((50, 3, 8, 8), 0.3)
    assert close(augmentation("blit", "geometry")(images, 1.0), images, 1e-5)


def waves(frequency: float, size: int = 64) -> Tensor:
    """A grating across the image; frequency 1 has a period of two pixels."""
    line = torch.cos(math.pi * frequency * torch.arange(size, dtype=torch.float64))
    return line.repeat(1, 3, size, 1)


@pytest.mark.parametrize(("frequency", "kept"), [(0.35, 0.9), (0.8, 0.1)])
def test_shrinking_removes_what_would_alias(frequency: float, kept: float) -> None:
    shrunk = resample(waves(frequency), scaling(number(1 / 0.6), number(1 / 0.6)))
    contrast = shrunk[..., 16:48].std().item() / waves(frequency).std().item()  # gratings are not smooth at the edges
    assert contrast > kept if frequency < 0.6 else contrast < kept


# Colours


colours = st.tuples(*[st.floats(-1, 1)] * 3).map(lambda rgb: number(*rgb, 1.0))


@given(colours, angles, factors)
def test_hue_and_saturation_keep_the_luma(rgb: Tensor, angle: float, factor: float) -> None:
    turned, strong = (matrix[0] @ rgb for matrix in (color.hue(number(angle)), color.saturation(number(factor))))
    assert turned[:3].sum().item() == pytest.approx(rgb[:3].sum().item(), abs=1e-9)
    assert turned.norm().item() == pytest.approx(rgb.norm().item())
    assert strong[:3].sum().item() == pytest.approx(rgb[:3].sum().item(), abs=1e-9)
    grey = rgb[:3].mean()
    assert close(strong[:3] - grey, factor * (rgb[:3] - grey))


@given(colours)
def test_the_luma_flip_is_an_involution_that_keeps_the_chroma(rgb: Tensor) -> None:
    flip = color.luma_flip(number(1))[0]
    assert close(flip @ flip, torch.eye(4, dtype=torch.float64))
    grey = rgb[:3].mean()
    assert close((flip @ rgb)[:3], rgb[:3] - 2 * grey)


@given(angles, angles)
def test_hue_rotations_add_up(a: float, b: float) -> None:
    assert close(color.hue(number(a)) @ color.hue(number(b)), color.hue(number(a + b)))


def test_a_third_of_the_hues_swaps_the_channels() -> None:
    red = number(1, 0, 0, 1)
    thirds = [(color.hue(number(k * 2 * math.pi / 3))[0] @ red)[:3] for k in (1, 2)]
    assert close(thirds[0], number(0, 1, 0)) and close(thirds[1], number(0, 0, 1))


def test_colours_change_as_the_matrix_says() -> None:
    images, matrix = random_images(2).double(), torch.randn(2, 4, 4, dtype=torch.float64)
    padded = torch.cat((images, torch.ones(2, 1, 8, 8)), 1)
    expected = torch.einsum("nij,njhw->nihw", matrix, padded)[:, :3]
    assert close(color.transform(images, matrix), expected)
    bright = color.transform(images, color.brightness(number(0.1, 0.2)))
    assert close(bright - images, number(0.1, 0.2)[:, None, None, None].expand_as(images))
    assert close(color.transform(images, color.contrast(number(2, 3))), number(2, 3)[:, None, None, None] * images)


# Filter, noise, cutout


@pytest.mark.parametrize(("frequency", "band"), [(0.0, 0), (0.06, 0), (0.18, 1), (0.36, 2), (0.75, 3)])
def test_a_gain_acts_on_its_band(frequency: float, band: int) -> None:
    gains = torch.ones(4, 4, dtype=torch.float64)
    gains.fill_diagonal_(0.5)
    images = waves(frequency)
    result = weigh_bands(images.repeat(4, 1, 1, 1), gains)
    inner = slice(16, 48)  # the edges, where waves are mirrored, hold other frequencies
    left = [(image * images[0])[..., inner].sum() / images[0][..., inner].square().sum() for image in result]
    for number_of, share in enumerate(left):
        # Down the columns the image is flat, which is in the lowest band.
        expected = (0.5 if number_of == band else 1) * (0.5 if number_of == 0 else 1)
        assert share.item() == pytest.approx(expected, abs=0.08)


def test_gains_of_1_change_no_bit() -> None:
    images = random_images(2, 16)
    assert torch.equal(weigh_bands(images, torch.ones(2, 4)), images)


def test_gains_keep_the_power_of_natural_images() -> None:
    torch.manual_seed(0)
    draw = Draw(torch.zeros(3000, 3, 4, 4, dtype=torch.float64), 1 / 4)
    gains = band_gains(draw)
    one = ((gains != 1).any(1)) & (gains[:, 0] == gains[:, 1])  # only the third or the fourth band was drawn
    one &= (gains[:, 0] == gains[:, 2]) | (gains[:, 0] == gains[:, 3])
    power = (gains[one].square() * number(10, 1, 1, 1) / 13).sum(1)
    assert one.sum() > 100 and close(power, torch.ones_like(power))


def test_the_strength_of_the_noise_is_half_normal() -> None:
    torch.manual_seed(0)
    strength = augmentation("noise")(torch.zeros(4000, 3, 8, 8), 1.0).flatten(1).std(1)
    assert strength.mean().item() == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=0.05)
    assert strength.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.05)


def test_cutout_greys_a_rectangle_of_half_the_sides() -> None:
    torch.manual_seed(0)
    images = random_images(300, 16)
    gone = augmentation("cutout")(images, 1.0) == 0
    rows, columns = gone.any(3)[:, 0], gone.any(2)[:, 0]
    assert torch.equal(gone, (rows[:, None, :, None] & columns[:, None, None, :]).expand_as(gone))
    assert rows.sum(1).max() == columns.sum(1).max() == 8
    assert rows.double().mean().item() == pytest.approx(7 / 16, abs=0.02)  # half, less what hangs over the edges
    assert rows[:, 0].any() and rows[:, -1].any() and columns[:, 0].any() and columns[:, -1].any()
