import io

import pytest
import torch
from torch import Tensor, nn

from dfd.config import AdaConfig
from dfd.gan.ada import Controller
from dfd.gan.losses import discriminator_loss


def controller(batch_size: int = 10, **settings: object) -> Controller:
    """p moves by 0.02 at each second step."""
    return Controller(AdaConfig(**{"name": "test", "interval": 2, "kimg": 1, "target": 0.5} | settings), batch_size)


def alone(tensor: Tensor) -> Tensor:
    return tensor


def run(control: Controller, logits: Tensor, steps: int) -> None:
    for _ in range(steps):
        control.observe(logits)
        control.step(alone)


def logits_of(share: float) -> Tensor:
    """Twenty logits, this share of them positive."""
    return torch.where(torch.arange(20) < 20 * share, 3.0, -0.1)


@pytest.mark.parametrize(("share", "r_t", "direction"), [(0.9, 0.8, 1), (0.6, 0.2, -1), (0.75, 0.5, 0)])
def test_p_moves_towards_the_target_at_the_stated_speed(share: float, r_t: float, direction: int) -> None:
    control = controller(batch_size=20, p=0.5)
    run(control, logits_of(share), 10)
    assert control.r_t == pytest.approx(r_t)
    assert control.p == pytest.approx(0.5 + direction * 10 * 20 / 1000)


def test_p_goes_from_0_to_1_in_kimg() -> None:
    control = controller(batch_size=10)
    run(control, logits_of(1), 98)
    assert control.p == pytest.approx(0.98)
    run(control, logits_of(1), 2)
    assert control.p == pytest.approx(1)


@pytest.mark.parametrize(("share", "end"), [(1.0, 1.0), (0.0, 0.0)])
def test_p_stays_within_0_and_1(share: float, end: float) -> None:
    control = controller(p=0.5)
    run(control, logits_of(share), 200)
    assert control.p == end


def test_nothing_moves_within_an_interval() -> None:
    control = controller(interval=4)
    run(control, logits_of(1), 3)
    assert (control.p, control.r_t) == (0, None)
    run(control, logits_of(1), 1)
    assert control.p > 0 and control.r_t == 1


def test_the_estimate_is_of_all_logits_since_the_last_one() -> None:
    control = controller()
    run(control, logits_of(0), 2)
    control.observe(logits_of(1))
    control.observe(logits_of(1))
    control.step(alone)
    run(control, logits_of(0), 1)
    assert control.r_t == pytest.approx(1 / 3)


def test_fixed_stays_and_still_estimates() -> None:
    control = controller(mode="fixed", p=0.3)
    run(control, logits_of(0.9), 20)
    assert control.p == 0.3 and control.r_t == pytest.approx(0.8)


def test_the_estimate_is_over_all_ranks() -> None:
    control = controller()
    for _ in range(2):
        control.observe(logits_of(1))
        control.step(lambda here: here + torch.tensor([-10.0, 30.0]))
    assert control.r_t == pytest.approx((20 - 10) / (20 + 30))


def test_a_rank_keeps_what_all_ranks_saw() -> None:
    """So that the state of one of them resumes all."""
    control = controller()
    control.observe(logits_of(1))
    control.step(lambda here: here + torch.tensor([-10.0, 30.0]))
    assert control.state_dict()["seen"].tolist() == [10, 50]


@pytest.mark.parametrize("stop", [3, 4])
def test_resuming_is_exact(stop: int) -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 10) + 0.5
    whole, first, second = (controller(p=0.5, interval=3) for _ in range(3))
    for step in logits:
        run(whole, step, 1)
    for step in logits[:stop]:
        run(first, step, 1)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert (second.p, second.r_t) == (first.p, first.r_t)
    for step in logits[stop:]:
        run(second, step, 1)
    assert (second.p, second.r_t) == (whole.p, whole.r_t)


@pytest.mark.parametrize("memorised", [True, False])
def test_a_discriminator_that_knows_its_images_by_heart_raises_p(memorised: bool) -> None:
    """Real and generated images have one distribution: nothing but the images themselves tells them apart."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 1), nn.Flatten(0))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    few = torch.randn(8, 16)
    control = controller(batch_size=8, kimg=2, target=0.6)
    for _ in range(200):
        real = network(few if memorised else torch.randn(8, 16))
        control.observe(real)
        control.step(alone)
        optimizer.zero_grad()
        discriminator_loss(real, network(torch.randn(8, 16))).backward()
        optimizer.step()
    assert control.p > 0.5 if memorised else control.p < 0.05
