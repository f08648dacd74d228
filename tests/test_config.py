"""The settings' dataclasses, and that the files in configs/ and the packaging agree with them."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import timm
from hydra import compose, initialize_config_module

from dfd.config import check, setting
from dfd.errors import UserError
from dfd.front.commands import COMMANDS
from dfd.front.compose import store_schema, typed
from dfd.front.settings import groups, settings, strip_optional
from tests.commands.test_experiments import PUBLISHED

ROOT = Path(__file__).parents[1]


@dataclass
class Inner:
    share: float = setting(0.5, "a share", low=0, high=1)
    kind: str = setting("a", "a kind", choices=("a", "b"))
    of_b: float = setting(1.0, "kind=b: how much", needs=("kind", "b"))
    parts: int = setting(0, "how many parts")
    each: str = setting("x", "what each part is", needs=("parts", None))


@dataclass
class Outer:
    name: str = setting("x", "a name")
    sizes: list[int] = setting([1, 2], "some sizes", low=1)
    maximum: int | None = setting(None, "a bound", high=9)
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None


def test_values_in_range_pass() -> None:
    check(Outer())
    check(Outer(maximum=9, sizes=[], inner=Inner(share=1, kind="b"), maybe=Inner(share=0)))
    check(Inner(kind="b", of_b=2.0, parts=1, each="y"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Outer(inner=Inner(share=1.1)), "inner.share=1.1 is too large: accepted is 0 to 1"),
        (Outer(inner=Inner(share=-0.1)), "inner.share=-0.1 is too small: accepted is 0 to 1"),
        (Outer(inner=Inner(share=float("nan"))), "inner.share=nan is too small"),
        (Outer(inner=Inner(kind="c")), "inner.kind=c is not one of the choices: a, b"),
        (Outer(maybe=Inner(kind="c")), "maybe.kind=c is not one of the choices: a, b"),
        (Outer(inner=Inner(of_b=2.0)), "inner.of_b=2.0 has no effect with inner.kind=a; it goes with inner.kind=b"),
        (Inner(each="y"), "each=y has no effect with parts=0; it goes with parts above 0"),
        (Outer(sizes=[1, 0]), "sizes=0 is too small: accepted is 1 or more"),
        (Outer(maximum=10), "maximum=10 is too large: accepted is up to 9"),
        (Outer(name="???"), "name is not set"),
        (Outer(name="../elsewhere"), "name=../elsewhere has to be the plain name of a folder"),
        (Outer(name=".."), "name=.. has to be the plain name of a folder"),
        (Outer(name=""), "name= has to be the plain name of a folder"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_accepted(config: Outer | Inner, message: str) -> None:
    with pytest.raises(UserError) as caught:
        check(config)
    assert str(caught.value).startswith(message)


def test_a_mutable_default_is_not_shared() -> None:
    Outer().sizes.append(3)
    assert Outer().sizes == [1, 2]


def all_settings() -> dict[str, Any]:
    return {key: one for command in COMMANDS for key, one in settings(command.config).items()}


@pytest.mark.parametrize("key", sorted(all_settings()))
def test_every_setting_explains_itself_and_accepts_its_default(key: str) -> None:
    one = all_settings()[key]
    kind, _ = strip_optional(one.type)
    assert one.help
    assert "value" not in one.accepted, f"{kind} has no name in TYPE_NAMES"
    for default in one.default if isinstance(one.default, list) else [one.default]:
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            low, high = one.field.metadata["low"], one.field.metadata["high"]
            assert (low is None or default >= low) and (high is None or default <= high)


CHOICES = [
    (command, group, choice)
    for command in COMMANDS
    for group, choices in groups(command).items()
    for choice in choices
    if choice not in PUBLISHED  # several commands
]  # fmt: skip


@pytest.mark.parametrize(("command", "group", "choice"), CHOICES, ids=lambda part: getattr(part, "id", part))
def test_every_choice_composes_to_valid_settings(command: Any, group: str, choice: str) -> None:
    store_schema(command, [])
    with initialize_config_module("dfd.configs", version_base="1.3"):
        config = typed(command, compose(command.id, [f"{group}={choice}"]))
    if group not in ("experiment", "runtime", "trainer"):
        assert getattr(config, group).name == choice


@pytest.mark.parametrize("model", groups(next(one for one in COMMANDS if one.name == "train"))["model"])
def test_every_models_backbone_has_pretrained_weights_in_timm(model: str) -> None:
    train = next(one for one in COMMANDS if one.name == "train")
    store_schema(train, [])
    with initialize_config_module("dfd.configs", version_base="1.3"):
        backbone = compose("train", [f"model={model}"]).model.backbone
    assert timm.list_pretrained(backbone) == [backbone]


def test_every_package_is_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        ".".join(folder.relative_to(ROOT / "src").parts)
        for folder in (ROOT / "src").rglob("*")
        if folder.is_dir() and any(folder.glob("*.py"))
    }
    assert set(project["tool"]["setuptools"]["packages"]) == packages | {"dfd.configs"}


def test_the_pinned_requirements_cover_the_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    pinned = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line)
    names = {_normal(line.split(">=")[0].split("==")[0]) for line in wanted}
    assert {_normal(name) for name in pinned} == names


def _normal(name: str) -> str:
    return name.strip().lower().replace("_", "-")
