import pytest

from dfd.cards.stability import Copy, Stability, settle


def stability(verdict: str, *copies: str) -> Stability:
    values = {"real": 0.1, "unsure": 0.5, "fake": 0.9}
    made = [Copy("jpeg", 75, "saved again", values[each], each) for each in copies]
    return Stability.of(values[verdict], verdict, made)


@pytest.mark.parametrize(
    ("verdict", "copies", "final"),
    [
        ("fake", ("fake", "fake", "fake"), "fake"),
        ("fake", ("fake", "fake", "real"), "unsure"),  # one copy says the opposite
        ("real", ("real", "fake", "real"), "unsure"),
        ("fake", ("fake", "fake", "unsure"), "fake"),  # one copy is less sure
        ("fake", ("fake", "unsure", "unsure"), "unsure"),  # most are
        ("unsure", ("fake", "fake", "fake"), "unsure"),  # copies never make a verdict
        ("unsure", ("fake", "real", "unsure"), "unsure"),
        ("real", (), "real"),
    ],
)
def test_copies_can_take_a_verdict_back_and_never_give_one(verdict: str, copies: tuple[str, ...], final: str) -> None:
    assert settle(verdict, stability(verdict, *copies)) == final


def test_counts_and_extremes() -> None:
    found = stability("fake", "fake", "unsure", "real")
    assert (found.flips, found.opposite, found.lowest, found.highest) == (2, 1, 0.1, 0.9)
    assert stability("unsure", "real", "fake").opposite == 0
