"""Settings as they are typed: whatever is in a value, the shell and Hydra give it back."""

import shlex
import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from dfd.config.typed import assignment, list_assignment, shell_word
from dfd.front.arguments import parse
from dfd.front.commands import find_command

# Of a path: anything but a null byte, and a line break, which Hydra takes for the end of a setting.
PATHS = st.text(st.characters(exclude_characters="\0\n\r", exclude_categories=("Cs",)), min_size=1).filter(
    lambda text: text == text.strip() and text != "???"
)
ODD = [
    "/tmp/it's/a, b",
    "/home/josé/x=[1]",
    "a\\b",
    "a\\",
    'say "so"',
    "${name}",
    "\\${x}",
    "gan:{1}",
    "~/#&x",
    "null",
    "1e3",
]


def read_by_hydra(word: str) -> object:
    """The value of `x` after a shell and Hydra have read `x=…`."""
    (unquoted,) = shlex.split(word)
    value = OverridesParser.create().parse_override(unquoted).value()
    plain = [str(one) for one in value] if isinstance(value, list) else str(value)
    return OmegaConf.to_container(OmegaConf.create({"x": plain}), resolve=True)["x"]  # type: ignore[call-overload,index]


@given(PATHS)
@pytest.mark.parametrize("odd", ODD)
def test_one_value_comes_back(odd: str, text: str) -> None:
    for value in (odd, text):
        assert read_by_hydra(assignment("x", value)) == value


@given(st.lists(PATHS, min_size=1, max_size=4))
@example(ODD)
def test_a_list_comes_back(texts: list[str]) -> None:
    assert read_by_hydra(list_assignment("x", texts)) == texts


def test_what_needs_no_quotes_has_none() -> None:
    assert assignment("bundle", "outputs/train/x-1_2.3") == "bundle=outputs/train/x-1_2.3"


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))), max_size=8))
@example(["Screenshot 3\u202fPM.png", "a\tb\n", "it's \\ \x1b[1m", "\u00a0", "", "-x"])
def test_bash_gives_back_the_words_and_sees_visible_characters_alone(words: list[str]) -> None:
    typed = [shell_word(word) for word in words]
    assert all(word.isprintable() for word in typed)
    line = f"printf '%s\\0' {' '.join(typed)}" if words else "true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert done.stdout.decode().split("\0")[: len(words)] == words


def test_a_name_that_is_no_utf8_is_written_in_bytes() -> None:
    done = subprocess.run(["bash", "-c", f"printf %s {shell_word(chr(0xDCE9))}"], capture_output=True, check=True)
    assert done.stdout == b"\xe9"


@pytest.mark.parametrize("odd", ODD)
@given(text=PATHS)
@settings(max_examples=20)
def test_data_sets_and_generators_in_one_word(odd: str, text: str) -> None:
    """`data=[a,'gan:…']` is two settings, and what is quoted stays whole."""
    command = find_command(["train"])
    assert command is not None
    for path in (odd, text):
        word = list_assignment("data", ["real140k", "yonsei", f"gan:{path}"])
        own, added = parse(command, shlex.split(word)).overrides
        assert own == "data=real140k"
        assert read_by_hydra(shlex.quote(added.replace("data.add", "x"))) == ["yonsei", f"gan:{path}"]
