"""The discriminator's head as a detector: fitted on the columns it is given, by groups, and exact in the network."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from dfd.errors import UserError
from dfd.models.detector import build
from dfd.training.gan_head import fit_head, put_head
from tests.factories import tiny_model, tiny_preprocessing

N = 120


def rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [N, 6], of which column 1 tells the class and column 4 tells it less; labels; groups."""
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % 2
    features = rng.normal(size=(N, 6)) * [1, 1, 50, 1, 1, 1]
    features[:, 1] += 3 * labels
    features[:, 4] += labels
    return features.astype(np.float32), labels, np.arange(N)


def test_a_head_sees_its_own_columns_alone() -> None:
    features, labels, groups = rows()
    first, second = (
        fit_head(features, labels, groups, slice(0, 3), 0),
        fit_head(features, labels, groups, slice(3, 6), 0),
    )
    assert (first.weight[3:] == 0).all() and (second.weight[:3] == 0).all()
    assert roc_auc_score(labels, first.out_of_fold) > roc_auc_score(labels, second.out_of_fold) > 0.6


def test_the_logit_is_high_for_fakes() -> None:
    features, labels, groups = rows()
    head = fit_head(features, labels, groups, slice(0, 6), 0)
    logits = features @ head.weight + head.bias
    assert roc_auc_score(labels, logits) > 0.95
    assert logits[labels == 1].mean() > 0 > logits[labels == 0].mean()


def test_rows_of_a_group_never_judge_each_other() -> None:
    """Copies under both of two random labels: whoever learns from a copy scores too well."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 30)).repeat(3, axis=0)
    labels = np.repeat(np.arange(40) % 2, 3)
    head = fit_head(features, labels, np.repeat(np.arange(40), 3), slice(0, 30), 0)
    leaking = fit_head(features, labels, np.arange(N), slice(0, 30), 0)
    assert roc_auc_score(labels, head.out_of_fold) < 0.75 < roc_auc_score(labels, leaking.out_of_fold)


def test_the_network_gives_the_heads_logits() -> None:
    detector = build(tiny_model(), tiny_preprocessing()).eval()
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N, detector.width)).astype(np.float32)
    head = fit_head(features, np.arange(N) % 2, np.arange(N), slice(0, 10), 0)
    put_head(detector, head)
    found = detector.classify(torch.from_numpy(features)).detach().numpy()
    assert np.allclose(found, features @ head.weight + head.bias, atol=1e-4)


def test_three_groups_of_a_class_are_enough() -> None:
    """As the demo data have: three photographs in val."""
    features, labels, _ = rows()
    head = fit_head(features, labels, labels + 2 * (np.arange(N) % 6 // 2), slice(0, 6), 0)
    assert np.isfinite(head.out_of_fold).all()


def test_too_few_groups_are_told() -> None:
    features, labels, _ = rows()
    with pytest.raises(UserError, match="too few images for the discriminator's head: 2; accepted is 3 or more"):
        fit_head(features, labels, labels + 2 * (np.arange(N) % 4 > 1), slice(0, 6), 0)
