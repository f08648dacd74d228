"""Settings as a user would type them into a shell, whatever is in their values."""

import re
import shlex
from collections.abc import Iterable

from dfd.config.literal import literal

# What Hydra takes for a text without quotes, wherever it stands. It takes a little more, but not an é or an =.
_PLAIN = re.compile(r"(?!(?:null|true|false|nan|inf)$)[a-z/][a-z0-9_./:+%@-]*", re.ASCII | re.IGNORECASE)


def written(value: object) -> str:
    """A text as a value in Hydra's grammar of settings, in quotes where it has to be; nothing in it is a reference."""
    text = str(value)
    return text if is_plain(text) else quoted(literal(text))


def is_plain(text: str) -> bool:
    """Whether Hydra takes a text as it is for a text."""
    return _PLAIN.fullmatch(text) is not None


def quoted(text: str) -> str:
    """Text in quotes, within which a backslash is one but before a quote. In double ones if it can be, for shells."""
    mark = "'" if '"' in text else '"'
    inside = re.sub(rf"(\\*)({mark}|\Z)", lambda found: found[1] * 2 + (f"\\{mark}" if found[2] else ""), text)
    return f"{mark}{inside}{mark}"


def assignment(key: str, value: object) -> str:
    """`key=value` as one word for a shell."""
    return shlex.quote(f"{key}={written(value)}")


def list_assignment(key: str, values: Iterable[object]) -> str:
    """`key=[value,value]` as one word for a shell."""
    return shlex.quote(f"{key}=[{','.join(map(written, values))}]")


def shell_word(word: str) -> str:
    r"""A word for a shell in visible characters alone: `$'a\u202fb'` where it holds others."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_escaped, word)) + "'"


def _escaped(character: str) -> str:
    code = ord(character)
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is no UTF-8, as Python holds it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
