import shlex
from pathlib import Path

import pytest
import yaml

from dfd.cli import main
from dfd.front.pipeline import _words
from tests.commands.conftest import TINY, Refused, Trained

STEPS = """
steps:
  - train -m model=resnet50,vgg16 name=exp-${model.name} data=folder {train}
  - ensemble -m strategy=averaging,weighted name=exp-${strategy.name} members={runs}
  - compare name=exp {all_runs}
budgets:
  smoke: cv.folds=2 trainer.max_steps=2 trainer.batch_size=8 augment=none
  cpu: cv.folds=3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings" / "experiment").mkdir(parents=True)
    (tmp_path / "settings" / "experiment" / "mine.yaml").write_text(STEPS)
    return ["train", "--config-dir", "settings", "experiment=mine", "budget=smoke"]


def test_one_word_trains_combines_and_compares(
    trained: Trained, own: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    data = [f"data.source={trained.images}", "data.name=tiny", "data.fractions=[1,0,0]"]
    assert main([*own, *TINY[1:], *data, "augment=light"]) == 0  # the ensembles take neither: their members have them
    out = capsys.readouterr().out
    assert out.count("\n$ dfd ") == 3
    page = next(Path("outputs/compare/exp").glob("*/compare.html")).read_text()
    for name in ("exp-resnet50", "exp-vgg16", "exp-averaging", "exp-weighted"):
        assert name in page
    assert not list(Path("outputs/ensemble").glob("*/*/oof_metrics.json")), "there is no test split"


def test_the_steps_can_be_shown_without_running_them(own: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*own, "cv.folds=4", "--cfg", "job"]) == 0
    out = capsys.readouterr().out
    assert "cv.folds=4" in out and "cv.folds=2" not in out, "what the user adds takes the place of the step's own"
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [(["budget=huge"], "budget=huge is not one of the choices: smoke, cpu"), (["-m"], "leave out -m")],
)
def test_mistakes(own: list[str], more: list[str], message: str, refused: Refused) -> None:
    assert message in refused([*own, *more])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [train\nbudgets: {}", "line 2: "),
        ("steps: '\x07'", "mine.yaml"),
        (b"steps: ['\xff']", "mine.yaml"),
        ("steps: [train]", "budgets: None"),
        ("steps: [train]\nbudgets: {cpu: }", "budgets: {'cpu': None}"),
        ("steps: [train]\nbudgets: {cpu: {train: 3}}", "budgets: {'cpu': {'train': 3}}"),
        ("steps: train\nbudgets: {cpu: ''}", "steps: 'train'"),
        ("steps: []\nbudgets: {cpu: ''}", "steps: []"),
        ("steps: [' ']\nbudgets: {cpu: ''}", "steps: [' ']"),
        ("steps: [train]\nbudgets: {cpu: ''}\nfixed: data", "fixed: 'data'"),
    ],
)
def test_a_file_with_a_mistake_is_named(own: list[str], text: str | bytes, message: str, refused: Refused) -> None:
    file = Path("settings/experiment/mine.yaml")
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    told = refused([*own[:-1], "--cfg", "job"])
    assert str(file) in told and message in told and len(told.splitlines()) == 1


PUBLISHED = (
    *("yonsei_ensemble", "real140k_single", "gan_adaptability"),
    *("yonsei_detector", "real140k_detector", "both_kinds_detector", "recommended", "redrawn_detector", "small"),
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_experiments_name_settings_that_exist(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(__file__).parents[2] / "configs" / "experiment"
    shown: set[str] = set()
    for budget in yaml.safe_load((folder / f"{name}.yaml").read_text())["budgets"]:
        assert main(["train", f"experiment={name}", f"budget={budget}", "--cfg", "job"]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("$ dfd")]
        for line in set(lines) - shown:
            words = [word for word in shlex.split(line)[2:] if word != "-m" and "{run" not in word]
            words = [word for word in words if "," not in word.partition("=")[2] or "[" in word]  # sweeps
            assert main([*words, "--cfg", "job"]) == 0
        assert any("train" in line for line in lines)
        shown |= set(lines)


@pytest.mark.parametrize("name", ["recommended", "small"])
def test_a_smoke_run_is_not_taken_for_the_real_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", f"experiment={name}", "budget=smoke", "--cfg", "job"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("$ dfd")]
    assert len(lines) == 2 and all(f"name={name}-smoke" in line for line in lines)
    assert all("outputs/train/recommended-smoke" in line for line in lines if "teacher" in line)


def test_data_that_differ_from_step_to_step_are_not_overwritten(workdir: Path, refused: Refused) -> None:
    for word in ("data.source=x", "data=demo"):
        assert f"{word}: each step of this experiment has data of its own" in refused(
            ["train", "experiment=gan_adaptability", word, "--cfg", "job"]
        )


def test_words_stand_for_the_runs_of_their_steps() -> None:
    """{runs} is a list of the first step's, {run2} is what a sweep over the second's takes."""
    by_step = [[Path("a"), Path("b")], [Path("c"), Path("d")]]
    odd = _words("train data.add=[gan:{run1}]", "", [[Path("/it's a")]])
    assert odd == ["train", 'data.add=["gan:/it\'s a"]']
    found = _words("eval -m x={runs} bundle={run2} {more} {all_runs}", {"more": "y=1 z=2"}, by_step)
    assert found == ["eval", "-m", "x=[a,b]", "bundle=c,d", "y=1", "z=2", "a", "b", "c", "d"]
    assert _words("train data.add=[real:x,gan:{run2}]", "", by_step)[1] == "data.add=[real:x,gan:c,gan:d]"
    assert _words("train data.add=[gan:{run3}]", "", by_step)[1] == "data.add=[gan:{run3}]"
