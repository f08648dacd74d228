import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dfd.data.names import plain_name, to_path, to_text

NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda name: not {0, ord("/")} & set(name) and name not in (b".", b"..")
)


@given(NAMES)
def test_any_name_survives_as_printable_text(name: bytes) -> None:
    path = Path("folder", os.fsdecode(name))
    text = to_text(path)
    assert to_path(text) == path
    assert "\n" not in text
    text.encode("utf-8")


def test_ordinary_names_are_unchanged() -> None:
    assert to_text("real/Zoë 山.jpg") == "real/Zoë 山.jpg"


def test_odd_names() -> None:
    assert to_text(os.fsdecode(b"a\nb\\c\xff.jpg")) == r"a\x0ab\\c\xff.jpg"


@given(NAMES)
def test_any_file_system_takes_a_plain_name(name: bytes) -> None:
    plain = plain_name(3, Path("folder", os.fsdecode(name) * 20))
    assert plain.startswith("0003-") and plain.isascii() and len(plain) <= 85 and "/" not in plain


def test_a_plain_name_is_like_the_pictures() -> None:
    assert plain_name(12, Path("a/holiday photo.1.jpg")) == "0012-holiday_photo.1"
