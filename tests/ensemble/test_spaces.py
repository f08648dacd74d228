import numpy as np

from dfd.ensemble.spaces import harmonise


def test_each_networks_location_and_scale_are_taken_out() -> None:
    rng = np.random.default_rng(0)
    space = np.arange(300) % 3
    plain = rng.normal(size=(300, 4)).astype(np.float32)
    shifted = plain * (1 + space[:, None]) + 10 * space[:, None]
    features, means, scales = harmonise(shifted.astype(np.float32), space)
    assert means.shape == scales.shape == (3, 4)
    for which in range(3):
        np.testing.assert_allclose(features[space == which].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(features[space == which].std(axis=0), 1, atol=1e-5)
        back = features[space == which] * scales[which] + means[which]
        np.testing.assert_allclose(back, shifted[space == which], rtol=1e-4, atol=1e-4)


def test_one_networks_features_are_left_as_they_are() -> None:
    features = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    same, means, scales = harmonise(features, np.zeros(5, dtype=np.int64))
    assert same is features and means.tolist() == [[0, 0]] and scales.tolist() == [[1, 1]]
