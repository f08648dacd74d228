from hypothesis import given
from hypothesis import strategies as st

from dfd.evidence.text import clean


@given(st.one_of(st.text(), st.binary(), st.integers(), st.none()), st.integers(1, 300))
def test_what_is_left_is_short_and_printable(value: object, longest: int) -> None:
    found = clean(value, longest)
    assert len(found) <= longest and found.isprintable()


def test_ordinary_text_stays() -> None:
    assert clean("Müller’s 相机 v1.0") == "Müller’s 相机 v1.0"
    assert clean("Canon\0\0") == "Canon"


def test_escape_codes_and_direction_marks_go() -> None:
    assert clean("a\x1b[31mb\u202ec\r\nd\udc80") == "a [31mb c d"


def test_a_long_text_shows_that_it_was_cut() -> None:
    assert clean("x" * 10**6, 10) == "x" * 9 + "…"
