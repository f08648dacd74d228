import pytest

from dfd.cards.card import Member, Score
from dfd.cards.stability import Copy, Stability
from dfd.cards.words import meaning, reasons, share
from dfd.data.transforms import Joint
from tests.factories import tiny_bundle, tiny_preprocessing

SCORE = Score(0.9, 2.0, 0.5, 0.4, 0.8, "fake")


def told(size: tuple[int, int] = (64, 64), prob: float = 0.9, metrics: dict | None = None, **form: object) -> str:
    bundle = tiny_bundle()
    if metrics is not None:
        bundle.metrics.clear()
        bundle.metrics.update(metrics)
    score = Score(prob, 0.0, 0.5, 0.4, 0.8, "fake")
    return " ".join(meaning(bundle, score, size, Joint((tiny_preprocessing(**form),))))


@pytest.mark.parametrize(
    ("prob", "text"),
    [
        (0.0, "less than 0.1%"),
        (0.0004, "less than 0.1%"),
        (0.05, "5.0%"),
        (0.5, "50%"),
        (0.951, "95.1%"),
        (0.9994, "99.9%"),
        (0.99999, "more than 99.9%"),
        (1.0, "more than 99.9%"),
    ],
)
def test_shares_are_never_certain(prob: float, text: str) -> None:
    assert share(prob) == text


def test_base_rates_follow_bayes() -> None:
    # odds of 9 at even shares become 9 / 99 at one fake in a hundred: 8.3%
    assert "90% would become 8.3%" in told()
    assert "more than 99.9% would become more than 99.9%" in told(prob=1.0)


def test_the_figures_are_the_bundle_s_own() -> None:
    text = told(metrics={"auroc": 0.863, "n": 2041, "split": "oof"})
    assert "2,041 images of tiny, each by a model that had not seen it (the detector that judges here learnt" in text
    assert "86 times in 100 (AUROC 0.863)" in text
    assert "Few images" not in text
    assert "score 99.7 times in 100 (AUROC 0.997)" in told(metrics={"auroc": 0.997, "n": 9}).replace("about ", "")
    assert "score more than 99.9 times in 100" in told(metrics={"auroc": 0.9996, "n": 2041})
    assert "Few images" in told(metrics={"auroc": 0.9, "n": 80, "split": "val"})
    assert "is not in its bundle" in told(metrics={})


def test_sizes_that_cost_something_are_told() -> None:
    assert "smaller than what the detector looks at (32 × 32)" in told((20, 60))
    assert "was shrunk to 32 × 32" in told((640, 480))
    assert "shrunk" not in told((640, 480), fit="crop") and "middle of the picture alone" in told(
        (640, 480), fit="crop"
    )
    assert "shrunk" not in told((40, 40)) and "smaller" not in told((40, 40))


def test_an_oblong_picture_is_squeezed_and_its_long_side_shrunk() -> None:
    wide = told((400, 40))
    assert "was shrunk to 32 × 32" in wide and "squeezed into a square" in wide and "narrower to it than" in wide
    assert "wider to it than" in told((40, 60)) and "squeezed" not in told((44, 40))
    assert "squeezed" not in told((400, 40), fit="square") and "shrunk" not in told((400, 40), fit="square")
    both = told((400, 20))
    assert "is smaller than" in both and "was shrunk" in both


def test_the_share_that_a_crop_sees_is_told() -> None:
    assert "The detector looks at the middle of the picture alone: 0.6% of it" in told((400, 400), fit="crop")
    assert "at the middle" not in told((20, 18), fit="crop")
    assert "The detector looks at the middle of the picture alone: 75% of it" in told((40, 30), fit="square")
    assert "at the middle" not in told((400, 300))


def test_members_that_disagree_are_counted() -> None:
    members = [Member("a", 0.9, 1, "fake"), Member("b", 0.1, -1, "real"), Member("c", 0.9, 1, "fake")]
    stable = Stability.of(0.9, "fake", [])
    assert "The 3 detectors of the ensemble disagree: 2 fake, 1 real." in reasons(SCORE, "fake", stable, members, False)
    assert "All 2 detectors of the ensemble agree." in reasons(SCORE, "fake", stable, members[::2], False)
    told = reasons(SCORE, "fake", stable, members, False, "folds")
    assert "The 3 models of the detector's folds disagree: 2 fake, 1 real." in told


def test_members_that_learnt_from_different_fakes_need_not_agree() -> None:
    sure, real, torn = Member("a", 0.9, 1, "fake"), Member("b", 0.1, -1, "real"), Member("c", 0.5, 0, "unsure")
    stable = Stability.of(0.9, "fake", [])

    def told(*members: Member) -> str:
        return " ".join(reasons(SCORE, "fake", stable, members, False, "apart"))

    who = "detectors, which were trained on different data, say, each asked alone:"
    assert f"The 3 {who} a: fake; c: unsure; b: real." in told(sure, real, torn) and "disagree" not in told(sure, real)
    assert "a and a: fake; b: real." in told(sure, sure, real)
    assert f"The 2 {who} b and b: real." in told(real, real)


def test_copies_that_waver_are_named_the_opposite_ones_first() -> None:
    copies = [Copy("jpeg", 90, "copy A", 0.6, "unsure"), Copy("jpeg", 50, "copy B", 0.1, "real")]
    found = reasons(SCORE, "unsure", Stability.of(0.9, "fake", copies), (), False)
    assert "2 of 2 copies get another verdict (copy B: real; copy A: unsure; 10% to 90%)" in found[1]
    assert "so it is unsure" in found[1]
    kept = [copies[0], *[Copy("jpeg", 75, "copy C", 0.9, "fake")] * 2]
    assert reasons(SCORE, "fake", Stability.of(0.9, "fake", kept), (), False)[1].startswith("1 of 3 copies")
