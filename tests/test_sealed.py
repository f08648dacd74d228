from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfd import sealed
from dfd.errors import UserError

TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")))  # PyYAML folds rare line ends into spaces
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_what_was_written_comes_back(tmp_path_factory: pytest.TempPathFactory, content: dict) -> None:
    path = tmp_path_factory.getbasetemp() / "card.yaml"
    sealed.write(path, content)
    assert sealed.read(path) == content


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("- 1\n", "no settings"),
        ("a: [" * 5000, "damaged"),
        ("a: &a [1]\n" + "".join(f"b{i}: &b{i} [{', '.join(['*a'] * 20)}]\n" for i in range(1)), None),
        (
            "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 20)}]\n" for i in range(1, 9)),
            "more than 100,000 values",
        ),
        ("a: &a [*a]\n", "more than 100,000 values"),
        (
            "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60)),
            "it merges mappings",
        ),
    ],
)
def test_a_strangers_yaml_is_read_within_bounds(tmp_path: Path, text: str, message: str | None) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(sealed.sealed(text))
    if message is None:
        assert sealed.read(path)["b0"] == [[1]] * 20
        return
    with pytest.raises(UserError, match=message):
        sealed.read(path)


def test_an_edit_shows(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    sealed.write(path, {"threshold": 0.5})
    path.write_text(path.read_text().replace("0.5", "0.1"))
    with pytest.raises(UserError, match="was edited"):
        sealed.read(path)
    path.write_text("threshold: 0.5\n")
    with pytest.raises(UserError, match="of an older format"):
        sealed.read(path)
    with pytest.raises(UserError, match=r"none\.yaml is missing"):
        sealed.read(tmp_path / "none.yaml")
