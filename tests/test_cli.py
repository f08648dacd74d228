"""The front door, from a command line to `run(config, out)` of a command, which stands in here for the real one."""

import errno
import os
import shlex
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from dfd.cli import main
from dfd.commands.provenance import command_line
from dfd.config import literal
from dfd.errors import UserError
from dfd.front import completion as cli_completion
from dfd.front import settings as cli_settings
from dfd.front.commands import COMMANDS, find_command


class Recorder:
    """Stands in for the commands: notes how it was called."""

    def __init__(self) -> None:
        self.configs: list[Any] = []
        self.outs: list[Path] = []
        self.action: Callable[[Any, Path], int] = lambda config, out: 0

    def run(self, config: Any, out: Path) -> int:
        self.configs.append(config)
        self.outs.append(out)
        return self.action(config, out)


@pytest.fixture
def recorder(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    for command in COMMANDS:
        name = f"dfd.commands.{command.id}"
        module = types.ModuleType(name)
        module.run = recorder.run
        module.after_multirun = lambda runs: 0
        monkeypatch.setitem(sys.modules, name, module)
    return recorder


def raising(error: BaseException) -> Callable[[Any, Path], int]:
    def action(config: Any, out: Path) -> int:
        raise error

    return action


def saved_config(out: Path) -> Any:
    return OmegaConf.to_container(OmegaConf.load(out / ".hydra" / "config.yaml"))


# --- Dispatch ---


def test_a_command_gets_its_typed_config_and_its_run_folder(recorder: Recorder, workdir: Path) -> None:
    assert main(["train", "model=resnet50", "trainer.epochs=3"]) == 0
    (config,), (out,) = recorder.configs, recorder.outs
    assert (type(config).__name__, config.trainer.epochs) == ("TrainConfig", 3)
    assert (config.model.backbone, config.name) == ("resnet50.a1_in1k", "demo-resnet50")
    assert out.parent == workdir / "outputs" / "train" / "demo-resnet50"
    assert saved_config(out)["trainer"]["epochs"] == 3
    assert Path.cwd() == workdir


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.id)
def test_every_command_runs_with_its_defaults(recorder: Recorder, workdir: Path, command: Any) -> None:
    assert main(command.name.split()) == 0
    assert type(recorder.configs[0]) is command.config
    assert recorder.outs[0].parents[1] == workdir / "outputs" / command.name.replace(" ", "-")


def test_two_runs_never_share_a_folder(recorder: Recorder) -> None:
    assert [main(["predict", "a.jpg"]) for _ in range(3)] == [0, 0, 0]
    assert len(set(recorder.outs)) == 3


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_the_commands_exit_code_is_passed_on(recorder: Recorder, code: int) -> None:
    recorder.action = lambda config, out: code
    assert main(["eval"]) == code


def test_multirun_runs_every_combination_and_returns_the_worst_code(recorder: Recorder, workdir: Path) -> None:
    recorder.action = lambda config, out: 3 * (config.seed == 0)
    assert main(["train", "seed=0,1", "-m", "model=resnet50,vgg16"]) == 3
    assert sorted((config.model.name, config.seed) for config in recorder.configs) == [
        ("resnet50", 0), ("resnet50", 1), ("vgg16", 0), ("vgg16", 1)
    ]  # fmt: skip
    for number, (config, out) in enumerate(zip(recorder.configs, recorder.outs, strict=True)):
        assert out.parent == workdir / "outputs" / "train" / f"demo-{config.model.name}"
        assert out.name.endswith(f"-{number}")


def test_a_failed_job_doesnt_stop_a_multirun(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    def action(config: Any, out: Path) -> int:
        if config.seed == 0:
            raise UserError("seed 0 is unlucky")
        return 0

    recorder.action = action
    assert main(["train", "-m", "seed=0,1"]) == 2
    assert len(recorder.configs) == 2
    assert "dfd train: seed 0 is unlucky" in capsys.readouterr().err


def test_a_wrong_value_in_any_job_stops_a_multirun_before_the_first(recorder: Recorder, workdir: Path) -> None:
    assert main(["train", "-m", "trainer.epochs=1,0"]) == 2
    assert recorder.configs == []
    assert not (workdir / "outputs").exists()


def test_an_experiment_sets_several_groups_and_settings_on_top_win(recorder: Recorder) -> None:
    assert main(["train", "experiment=smoke", "trainer.epochs=2"]) == 0
    config = recorder.configs[0]
    assert (config.name, config.augment.name, config.trainer.epochs) == ("smoke", "none", 2)


def test_eval_takes_the_bundles_data_unless_told(recorder: Recorder) -> None:
    assert main(["eval"]) == main(["eval", "data=demo"]) == 0
    assert recorder.configs[0].data is None
    assert recorder.configs[1].data.name == "demo"


def test_the_fid_flag_gives_way_to_a_choice_that_is_spelled_out(recorder: Recorder) -> None:
    for words in (["--fid"], ["--fid", "fid.n=5000"], ["--fid", "--fid"], ["fid=bundle", "--fid"], []):
        assert main(["eval", *words]) == 0
    assert main(["eval", "-m", "--fid", "fid=bundle,efficientnet_lite0"]) == 0
    fids = [config.fid for config in recorder.configs]
    assert [fid.name for fid in fids[5:]] == ["bundle", "efficientnet_lite0"]
    assert [fid and fid.name for fid in fids[:5]] == ["inception", "inception", "inception", "bundle", None]
    assert (fids[0].backbone, fids[0].n, fids[1].n) == ("inception", None, 5000)


def test_config_dir_adds_choices(recorder: Recorder, workdir: Path) -> None:
    folder = workdir / "my 'own' settings"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "mine.yaml").write_text("name: mine\nbackbone: resnet18.a1_in1k\n")
    assert main(["train", "--config-dir", str(folder), "model=mine"]) == 0
    assert recorder.configs[0].model.backbone == "resnet18.a1_in1k"


def test_cfg_prints_the_settings_and_runs_nothing(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--cfg", "job", "--resolve", "seed=7"]) == 0
    shown = OmegaConf.create(capsys.readouterr().out)
    assert (shown.seed, shown.name) == (7, "demo-efficientnet_lite0")
    assert recorder.configs == []


@pytest.mark.parametrize("options", [["--info", "defaults"], ["--hydra-help"]])
def test_hydras_own_pages_are_kept(recorder: Recorder, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    assert main(["train", *options]) == 0
    assert "hydra" in capsys.readouterr().out


def test_messages_are_plain_on_screen_and_dated_in_the_log(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    import logging

    recorder.action = lambda config, out: logging.getLogger("dfd.test").info("half way") or 0
    assert main(["train"]) == 0
    assert capsys.readouterr().err == "half way\n"
    assert " INFO dfd.test: half way\n" in (recorder.outs[0] / "train.log").read_text()


# --- Errors ---

WRONG = {
    "trainer.epoch=3": ["'trainer.epoch'", "Did you mean trainer.epochs?", "trainer.batch_size"],
    "+trainer.epoch=3": ["'trainer.epoch'", "Did you mean trainer.epochs?"],
    "epochs=3": ["'epochs'", "Did you mean trainer.epochs?"],
    "modle=resnet50": ["'modle'", "Did you mean model?"],
    "=3": ["there is no setting ''"],
    "hydra.run.dri=x": ["hydra.run.dri", "--hydra-help"],
    "model=resnet5": ["model=resnet5 ", "Did you mean model=resnet50?", "densenet121"],
    "model=": ["model= ", "densenet121"],
    "model=null": ["model=null ", "densenet121"],
    "model=[resnet50,vgg16]": ["-m", "model=resnet50,vgg16"],
    "+model=resnet50": ["model is chosen already"],
    "experiment=nope": ["experiment=nope ", "smoke"],
    "trainer.epochs=abc": ["trainer.epochs=abc", "a whole number, 1 or more"],
    "trainer.epochs=1.5": ["trainer.epochs=1.5", "a whole number"],
    "trainer.epochs=null": ["trainer.epochs=null", "a whole number"],
    "trainer.epochs=0": ["trainer.epochs=0", "1 or more"],
    "trainer.lr=nan": ["trainer.lr=nan", "0 or more"],
    "trainer.optimizer=adm": ["trainer.optimizer=adm", "adamw, sgd"],
    "trainer.compile=maybe": ["trainer.compile=maybe", "true or false"],
    "data.fractions=3": ["data.fractions=3", "a list of numbers, each 0 to 1"],
    "data.fractions=[0.5,a]": ["data.fractions=[0.5,a]", "a list of numbers"],
    "data.fractions=[2]": ["data.fractions=2", "0 to 1"],
    "data.name=???": ["data.name is not set"],
    "name=${nothing}": ["name=${nothing}", "'nothing' not found"],
    "name=${oc.env:DFD_NO_SUCH}": ["DFD_NO_SUCH"],
    "name=a/b": ["name=a/b", "plain name of a folder"],
    "seed=[1": ["'seed=[1'"],
    "model=resnet50,vgg16": ["model=resnet50,vgg16", "-m"],
    "seed=range(3)": ["seed=range(3)", "-m"],
    "~model": ["model.name is not set"],
    "resnet50": ["'resnet50'", "Did you mean model=resnet50?"],
    "epochs": ["'epochs'", "Did you mean trainer.epochs="],
    "--epochs=3": ["--epochs=3", "trainer.epochs=3"],
    "--multirum": ["Did you mean --multirun?"],
    "--cfg": ["--cfg"],
    "--resolve": ["--cfg"],
    "--config-dir=/no/such": ["/no/such"],
    "resume=true": ["no unfinished run in outputs/train/demo-efficientnet_lite0"],
}


@pytest.mark.parametrize("word", WRONG)
def test_a_mistake_gets_one_message_and_exit_code_2(
    recorder: Recorder, workdir: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    assert main(["train", word]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("dfd train: ")
    assert [part for part in WRONG[word] if part not in err] == []
    assert "Traceback" not in err
    assert out == ""
    assert recorder.configs == []
    assert not (workdir / "outputs").exists(), "a mistake leaves no run folder behind"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["trian"], ["'trian'", "Did you mean dfd train?", "data prepare, train, eval, ensemble, compare"]),
        (["data"], ["Did you mean dfd data prepare or dfd data audit?"]),
        (["train", "-m", "--cfg", "job"], ["--multirun and --cfg"]),
        (["train", "-m", "model=resnet50,vgg61"], ["model=vgg61 ", "Did you mean model=vgg16?"]),
        (["train", "--", "x.jpg"], ["'x.jpg' is not a setting"]),
        (["eval", "data.source=x"], ["data.source=x needs a choice of data", "demo"]),
        (["eval", "fid.n=5"], ["fid.n=5 needs a choice of fid", "inception"]),
        (["predict", "x=1"], ["'x=1' is neither a setting nor a file"]),
        (["predict", "inputs=[a.jpg]", "b.jpg"], ["not both"]),
    ],
)
def test_mistakes_elsewhere(
    recorder: Recorder, capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert [part for part in parts if part not in err] == []
    assert "Traceback" not in err


def test_a_yaml_file_with_a_mistake_is_a_mistake_of_the_user(
    recorder: Recorder, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text, part in {"nmae: x": "'model.nmae'", "name: [": "model", "dropout: high": "a number, 0 to 0.95"}.items():
        (workdir / "model").mkdir(exist_ok=True)
        (workdir / "model" / "mine.yaml").write_text(text)
        assert main(["train", "-cd", ".", "model=mine"]) == 2
        assert part in capsys.readouterr().err


def test_a_user_error_of_a_command_is_one_message(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.action = raising(UserError("data.source=/nowhere does not exist"))
    assert main(["train"]) == 2
    assert capsys.readouterr().err == "dfd train: data.source=/nowhere does not exist\n"


def test_a_bug_keeps_its_traceback_and_exits_with_1(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.action = lambda config, out: 1 // 0
    assert main(["train"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "ZeroDivisionError" in err


def test_an_error_in_a_command_is_not_blamed_on_the_settings(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    from hydra.errors import HydraException
    from yaml import YAMLError

    for error in (YAMLError("x"), HydraException("x"), BrokenPipeError("x")):
        recorder.action = raising(error)
        assert main(["train"]) == 1
        assert "Traceback" in capsys.readouterr().err


# --- The command line that a report shows ---


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("dfd train model=resnet50 seed=1", ["dfd train model=resnet50 seed=1"]),
        ("dfd data prepare", ["dfd data prepare"]),
        ("dfd train -m model=vgg16 seed=0,1", [f"dfd train model=vgg16 seed={seed}" for seed in (0, 1)]),
        ("dfd train 'data=[demo,real140k]'", ["dfd train data=demo 'data.add=[real140k]'"]),
        ("dfd eval --fid", ["dfd eval fid=inception"]),
        ("dfd predict 'a b.jpg' batch_size=4 c/", ["dfd predict batch_size=4 'a b.jpg' c/"]),
        ("dfd predict batch_size=4 -- -a.jpg", ["dfd predict batch_size=4 -- -a.jpg"]),
        ("dfd predict -- batch_size=4", ["dfd predict -- batch_size=4"]),
        ("dfd train -cd settings model=mine", ["dfd train --config-dir settings model=mine"]),
        ("dfd train hydra.run.dir=here", ["dfd train hydra.run.dir=here"]),
    ],
)
def test_a_job_knows_the_command_line_that_asks_for_it_again(
    recorder: Recorder, workdir: Path, typed: str, shown: list[str]
) -> None:
    (workdir / "settings" / "model").mkdir(parents=True)
    (workdir / "settings" / "model" / "mine.yaml").write_text("name: mine\nbackbone: resnet18.a1_in1k\n")
    lines: list[str] = []
    recorder.action = lambda config, out: lines.append(command_line()) or 0
    before = sys.argv[:]
    assert main(shlex.split(typed)[1:]) == 0
    assert (lines, sys.argv) == (shown, before)
    wanted, recorder.configs = recorder.configs, []
    assert [main(shlex.split(line)[1:]) for line in shown] == [0] * len(shown)
    assert recorder.configs == wanted, "typed again, it is the same job"


def test_the_command_line_of_a_run_that_went_on_is_that_of_the_whole_run(recorder: Recorder) -> None:
    recorder.action = interrupted
    main(["train", "seed=1"])
    lines: list[str] = []
    recorder.action = lambda config, out: lines.append(command_line()) or 0
    assert main(["train", "seed=1", "resume=true"]) == 0
    assert lines == ["dfd train seed=1"]


# --- Paths ---


def test_predict_takes_bare_words_as_inputs_and_shows_them(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["holiday.jpg", "batch_size=4", "a, b [1].jpg", "--", "-dash.jpg", "runtime=cpu"]
    assert main(["predict", *words]) == 0
    inputs = ["holiday.jpg", "a, b [1].jpg", "-dash.jpg", "runtime=cpu"]
    assert recorder.configs[0].inputs == inputs
    assert (recorder.configs[0].batch_size, recorder.configs[0].runtime.device) == (4, "auto")
    assert saved_config(recorder.outs[0])["inputs"] == inputs
    assert main(["predict", "--cfg", "job", *words]) == 0
    assert OmegaConf.create(capsys.readouterr().out).inputs == inputs


def test_an_existing_file_with_an_equals_sign_is_a_path(recorder: Recorder, workdir: Path) -> None:
    (workdir / "x=1.jpg").touch()
    (workdir / "-x.jpg").touch()
    (workdir / "name=2.jpg").touch()
    assert main(["predict", "x=1.jpg", "./name=2.jpg"]) == 0
    assert recorder.configs[0].inputs == ["x=1.jpg", "./name=2.jpg"]
    assert main(["predict", "-x.jpg"]) == 2


def test_the_inputs_of_one_call_are_not_those_of_the_next(recorder: Recorder) -> None:
    assert main(["predict", "a.jpg"]) == main(["predict"]) == 0
    assert [config.inputs for config in recorder.configs] == [["a.jpg"], []]


ANY_NAME = st.text(st.characters(exclude_characters="\0"), min_size=1)  # surrogates too: bytes that are not UTF-8


@given(name=ANY_NAME | st.text("$\\{}a.?'\"~,:=[]()\n ", min_size=1))
@example("???")
@example("${oc.env:HOME}")
@example("\\${a}\\\\${b}\\")
@example("\udcff.jpg")
def test_any_name_survives_omegaconf(name: str) -> None:
    from dfd.config import PredictConfig

    config = OmegaConf.structured(PredictConfig(inputs=[literal(name)]))
    (read,) = OmegaConf.to_object(config).inputs
    assert read in (name, f"./{name}")


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(ANY_NAME, max_size=5))
def test_any_names_reach_the_command(recorder: Recorder, names: list[str]) -> None:
    assert main(["predict", "--", *names]) == 0
    assert [os.path.normpath(one) for one in recorder.configs[-1].inputs] == [os.path.normpath(one) for one in names]


# --- Help and completion ---


def test_the_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"]):
        assert main(arguments) == 0
        out = capsys.readouterr().out
        assert [command.name for command in COMMANDS if f"\n  {command.name} " not in out] == []


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.id)
def test_help_lists_every_setting_with_its_text_and_every_choice(
    recorder: Recorder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: Any
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*command.name.split(), "--help"]) == 0
    out = capsys.readouterr().out
    text = " ".join(out.split())
    for key, setting in cli_settings.settings(command.config).items():
        assert f"\n  {key}=" in out
        assert f"{setting.help} [{setting.accepted}]" in text
    for choices in cli_settings.groups(command).values():
        assert ", ".join(choices) in text
    assert max(len(line) for line in out.splitlines() if not line.startswith("  dfd ")) <= 80
    assert recorder.configs == []


def test_help_shows_the_values_that_the_settings_lead_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "model=resnet50", "trainer.epochs=77", "-h"]) == 0
    out = capsys.readouterr().out
    for text in ("model=resnet50 ", "model.backbone=resnet50.a1_in1k", "trainer.epochs=77 ", "name=demo-resnet50 "):
        assert f"\n  {text}" in out


def test_help_tells_mistakes_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "trainer.epochs=x", "--help"]) == 2
    assert "a whole number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "dfd ",
            ["data", "train", "eval", "ensemble", "compare", "features", "gan", "predict"]
            + ["explain", "export", "serve", "score"],
        ),
        ("dfd gan ", ["train", "generate", "redraw", "project"]),
        ("dfd t", ["train"]),
        ("dfd data ", ["prepare", "audit"]),
        ("dfd --v", ["--version"]),
        ("dfd train --m", ["--multirun"]),
        ("dfd eval --f", ["--fid"]),
        ("dfd train see", ["seed="]),
        ("dfd train runt", ["runtime=", "runtime."]),
        ("dfd train trainer.ep", ["trainer.epochs="]),
        ("dfd train trainer.optimizer=", ["trainer.optimizer=adamw", "trainer.optimizer=sgd"]),
        ("dfd train resume=t", ["resume=true"]),
        ("dfd train model=resnet50,vg", ["model=resnet50,vgg16"]),
        ("dfd train runtime=", ["runtime=auto", "runtime=cpu"]),
        ("dfd data prepare data.keep_splits=", ["data.keep_splits=true", "data.keep_splits=false"]),
        ("dfd predict holi", []),  # the shell completes file names
        ("dfd nonsense x", []),
    ],
)
def test_completion(line: str, expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_completion.complete(line) == expected
    assert main(["--complete", line]) == 0
    assert capsys.readouterr().out.split() == expected


def test_completion_in_a_real_bash(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion", "bash"]) == 0
    test = f"""
        dfd() {{ {sys.executable} -m dfd "$@"; }}
        {capsys.readouterr().out}
        COMP_LINE="dfd train model=vg" COMP_POINT=18 COMP_WORDBREAKS=' ='
        _dfd_complete
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", test], capture_output=True, text=True, check=True)
    assert done.stdout == "vgg16\n", done.stderr


def test_help_and_completion_import_neither_torch_nor_hydra() -> None:
    calls = [["--help"], ["--version"], ["--complete", "dfd train model="], ["--completion", "bash"], ["trian"]]
    assert heavy_imports(calls, {"torch", "hydra", "omegaconf", "numpy", "pandas", "yaml"}) == "set()"


def test_a_commands_help_and_its_mistakes_import_no_torch(workdir: Path) -> None:
    calls = [["train", "--help"], ["train", "--cfg", "job"], ["train", "trainer.epochs=x"], ["predict", "x=1"]]
    assert heavy_imports(calls, {"torch", "numpy", "pandas"}) == "set()"


def heavy_imports(calls: list[list[str]], modules: set[str]) -> str:
    code = f"""
import contextlib, io, sys
from dfd.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    for call in {calls}: main(call)
print({modules} & set(sys.modules))
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_closed_pipe_is_no_error(workdir: Path) -> None:
    for arguments in ("train --help", "train --cfg all", "--help"):
        command = f"{sys.executable} -m dfd {arguments} | true; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (141, "")


# --- Interruption and resuming ---


def interrupted(config: Any, out: Path) -> int:
    (out / "checkpoint").mkdir(exist_ok=True)
    raise KeyboardInterrupt


def finished(config: Any, out: Path) -> int:
    (out / "metrics.json").write_text("{}")
    return 0


def test_ctrl_c_tells_how_to_go_on(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.action = interrupted
    assert main(["train", "resume=false", "name='my run'"]) == 130
    err = capsys.readouterr().err
    assert err == "Interrupted. To go on: dfd train 'name='\"'\"'my run'\"'\"'' resume=true\n"


def test_ctrl_c_promises_nothing_where_nothing_can_go_on(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder.action = raising(KeyboardInterrupt())
    assert main(["train"]) == main(["predict", "x.jpg"]) == 130
    assert capsys.readouterr().err == "Interrupted.\nInterrupted.\n"


def test_sigterm_is_like_ctrl_c(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    def action(config: Any, out: Path) -> int:
        (out / "checkpoint").mkdir()
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("SIGTERM went unheard")

    recorder.action = action
    before = signal.getsignal(signal.SIGTERM)
    assert main(["train"]) == 130
    assert "dfd train resume=true" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_ctrl_c_stops_a_whole_multirun(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.action = interrupted
    assert main(["train", "-m", "seed=0,1"]) == 130
    assert len(recorder.configs) == 1
    assert "dfd train -m seed=0,1 resume=true" in capsys.readouterr().err


def test_resume_goes_on_in_the_newest_unfinished_run(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.action = interrupted
    assert [main(["train"]), main(["train"])] == [130, 130]
    recorder.action = finished
    assert main(["train"]) == 0  # a newer one, but finished
    assert main(["train", "resume=true", "runtime.workers=1"]) == 0
    assert recorder.outs[3] == recorder.outs[1]
    assert recorder.configs[3].resume
    assert main(["train", "resume=true"]) == 0
    assert recorder.outs[4] == recorder.outs[0]
    assert main(["train", "resume=true"]) == 2
    assert "there is no unfinished run in outputs/train/demo-efficientnet_lite0" in capsys.readouterr().err


def test_resume_refuses_other_settings(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.action = interrupted
    main(["train", "trainer.epochs=5"])
    before = saved_config(recorder.outs[0])
    capsys.readouterr()
    assert main(["train", "trainer.epochs=6", "seed=3", "resume=true"]) == 2
    err = capsys.readouterr().err
    assert "trainer.epochs was 5 and is now 6" in err
    assert "seed was 0 and is now 3" in err
    assert err.count(" was ") == 3  # 'was started with other settings', and these two
    assert saved_config(recorder.outs[0]) == before


def test_resume_goes_on_in_the_folder_that_was_named(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["train", "hydra.run.dir='my runs/x'", "seed=1"]
    assert main([*line, "resume=true"]) == 2
    assert "resume=true: there is no unfinished run in my runs/x" in capsys.readouterr().err
    recorder.action = interrupted
    assert [main(["train", "seed=1"]), main(line)] == [130, 130]
    told = capsys.readouterr().err.splitlines()[-1]
    again = shlex.split(told.partition("To go on: dfd ")[2])
    assert again == [*line, "resume=true"]
    assert main([*again, "seed=2"]) == 2
    assert "seed was 1 and is now 2" in capsys.readouterr().err
    recorder.action = finished
    assert main(again) == 0
    assert recorder.outs[2] == recorder.outs[1] and recorder.outs[1].parts[-2:] == ("my runs", "x")
    assert main([*line[:1], "-m", *line[1:], "resume=true"]) == 2
    assert "leave out hydra.run.dir='my runs/x'" in capsys.readouterr().err


def test_a_folder_that_settings_name_is_gone_on_in_by_its_own_name(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder.action = interrupted
    assert main(["train", "hydra.run.dir='my runs/${name}'", "seed=1"]) == 130
    again = shlex.split(capsys.readouterr().err.splitlines()[-1].partition("To go on: dfd ")[2])
    recorder.action = finished
    assert main(again) == 0
    assert recorder.outs[1] == recorder.outs[0]


def test_a_multirun_in_another_folder_does_what_is_left(
    recorder: Recorder, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder.action = lambda config, out: (finished if config.seed == 0 else interrupted)(config, out)
    line = ["train", "-m", "seed=0,1", "hydra.sweep.dir='my runs'"]
    assert main(line) == 130
    again = shlex.split(capsys.readouterr().err.splitlines()[-1].partition("To go on: dfd ")[2])
    recorder.action = finished
    assert main(again) == 0
    assert [config.seed for config in recorder.configs] == [0, 1, 1]
    assert recorder.outs[2] == recorder.outs[1] and recorder.outs[1].is_relative_to(workdir / "my runs")


def test_multirun_jobs_under_names_that_are_not_found_again_are_gone_on_with_one_by_one(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder.action = interrupted
    assert main(["train", "-m", "seed=3,4", "hydra.sweep.subdir=s${seed}"]) == 130
    told = capsys.readouterr().err
    assert "run the jobs that are left one by one" in told and "hydra.run.dir=" in told
    recorder.action = finished
    (here,) = [word for word in shlex.split(told) if word.startswith("hydra.run.dir=")]
    assert main(["train", "seed=3", here, "resume=true"]) == 0
    assert recorder.outs[1] == recorder.outs[0]


def test_multirun_with_resume_does_what_is_left(recorder: Recorder, workdir: Path) -> None:
    recorder.action = lambda config, out: (finished if config.seed == 0 else interrupted)(config, out)
    line = ["train", "-m", "seed=0,1,2"]
    assert main(line) == 130  # seed 0 ends, seed 1 is cut off, seed 2 never starts
    recorder.action = finished
    assert main([*line, "resume=true"]) == 0
    assert [config.seed for config in recorder.configs] == [0, 1, 1, 2]
    assert recorder.outs[2] == recorder.outs[1]
    assert len(list((workdir / "outputs" / "train" / "demo-efficientnet_lite0").iterdir())) == 3
    assert main([*line, "resume=true"]) == 0
    assert len(recorder.configs) == 4


STEPS = """
steps:
  - gan redraw name=mine
  - train name=mine data=[demo,gan:{run1}]
  - eval -m bundle={run2} name=mine split=val,test
budgets:
  cpu: ""
"""


def experiment(workdir: Path, text: str) -> None:
    """Make `--config-dir own experiment=mine` of a file's text."""
    (workdir / "own" / "experiment").mkdir(parents=True, exist_ok=True)
    (workdir / "own" / "experiment" / "mine.yaml").write_text(text)


PUBLISHED = sorted(
    file.stem for file in (Path(__file__).parents[1] / "configs" / "experiment").glob("*.yaml") if file.stem != "none"
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_step_of_a_published_experiment_is_understood(recorder: Recorder, workdir: Path, name: str) -> None:
    """With the folders of its runs in the places of {run1} and the like."""
    assert main(["train", f"experiment={name}", "budget=smoke"]) == 0
    assert recorder.outs


def test_drawings_and_generators_reach_the_training_that_they_are_for(recorder: Recorder) -> None:
    assert main(["train", "experiment=redrawn_detector", "budget=smoke"]) == 0
    assert recorder.configs[1].data.add == ["real:yonsei", f"gan:{recorder.outs[0]}"]


def test_an_experiment_with_resume_does_what_is_left(recorder: Recorder, workdir: Path) -> None:
    experiment(workdir, STEPS)
    line = ["train", "--config-dir", "own", "experiment=mine"]
    kinds = lambda: [type(config).__name__ for config in recorder.configs]  # noqa: E731

    recorder.action = lambda config, out: (interrupted if hasattr(config, "resume") else finished)(config, out)
    assert main(line) == 130
    assert kinds() == ["GanRedrawConfig", "TrainConfig"]

    recorder.action = lambda config, out: finished(config, out) if hasattr(config, "resume") else 2
    assert main([*line, "resume=true"]) == 2
    assert kinds() == ["GanRedrawConfig", "TrainConfig", "TrainConfig", "EvalConfig", "EvalConfig"]
    assert recorder.outs[2] == recorder.outs[1]

    recorder.action = finished
    assert main([*line, "resume=true"]) == 0
    assert kinds()[5:] == ["EvalConfig", "EvalConfig"], "they had failed"
    assert main([*line, "resume=yes"]) == 0
    assert len(kinds()) == 7, "nothing is left"
    assert main([*line, "resume=true", "seed=1"]) == 0
    assert kinds()[7:] == ["GanRedrawConfig", "TrainConfig", "EvalConfig", "EvalConfig"], "another experiment"
    assert main(line) == 0
    assert len({out for out in recorder.outs if "gan-redraw" in str(out)}) == 3, "without resume everything is new"


def test_a_run_folder_is_for_one_process(recorder: Recorder) -> None:
    others: list[subprocess.CompletedProcess[str]] = []

    def action(config: Any, out: Path) -> int:
        (out / "checkpoint").mkdir()
        command = [sys.executable, "-m", "dfd", "train", "resume=true"]
        others.append(subprocess.run(command, check=False, capture_output=True, text=True))
        return 0

    recorder.action = action
    assert main(["train"]) == 0
    assert others[0].returncode == 2
    assert "is in use by another process" in others[0].stderr


@pytest.mark.parametrize("command", [["train"], ["data", "prepare"]])
def test_a_run_needs_no_saved_settings(recorder: Recorder, command: list[str]) -> None:
    recorder.action = finished
    assert main([*command, "hydra.output_subdir=null"]) == 0
    assert not list(recorder.outs[0].rglob("config.yaml"))


def test_what_can_not_be_found_again_is_not_promised(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.action = interrupted
    assert main(["train", "hydra.output_subdir=null"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_other_ranks_leave_no_run_folder_and_repeat_no_message(
    recorder: Recorder, workdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert main(["train", "resume=true"]) == main(["train", "-m", "seed=0,1"]) == 0
    assert len(recorder.configs) == 3
    assert not (workdir / "outputs").exists()
    assert main(["train", "trainer.epochs=x"]) == 2
    assert capsys.readouterr().err == ""
    recorder.action = raising(UserError("no memory left"))
    assert main(["train"]) == 2
    assert capsys.readouterr().err == "dfd train (rank 1): no memory left\n"
    recorder.action = lambda config, out: 0
    monkeypatch.setenv("RANK", "0")
    assert main(["train"]) == 0
    assert recorder.outs[-1].is_dir()


@pytest.mark.parametrize("rank", ["0", "1"])
def test_several_ranks_refuse_what_they_would_not_agree_on(
    recorder: Recorder, workdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, rank: str
) -> None:
    """Rank 0 alone passes over the jobs that are done, and alone knows the run folders of a pipeline's steps."""
    experiment(workdir, STEPS)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    mistakes = {
        ("-m", "seed=0,1", "resume=true"): "resume=true with -m is for one process, and 2 were started",
        ("--config-dir", "own", "experiment=mine"): "experiment=mine has 3 steps, which is for one process, and 2 were",
    }
    for words, message in mistakes.items():
        assert main(["train", *words]) == 2
        err = capsys.readouterr().err
        assert (message in err and "one by one" in err) if rank == "0" else err == ""
    assert recorder.configs == [] and not (workdir / "outputs").exists()


def test_ranks_go_on_in_an_experiment_of_one_step_alike(
    recorder: Recorder, workdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `dfd train resume=true`: a finished run is no success on rank 0 while others would begin it anew."""
    line = ["train", "--config-dir", "own", "experiment=mine", "resume=true"]
    experiment(workdir, "steps: [train name=mine]\nbudgets: {cpu: ''}\n")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    recorder.action = interrupted
    assert main(line[:-1]) == 130
    recorder.action = finished
    assert main(line) == 0
    assert recorder.outs[1] == recorder.outs[0]
    assert main(line) == 2
    assert "there is no unfinished run" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["-m", "seed=0,1"], ["--config-dir", "own", "experiment=mine"]])
def test_several_ranks_are_not_told_to_go_on_as_they_can_not(
    recorder: Recorder,
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:
    experiment(workdir, "steps: ['train -m seed=0,1']\nbudgets: {cpu: ''}\n")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    recorder.action = interrupted
    assert main(["train", *words]) == 130
    err = capsys.readouterr().err
    assert "dfd train" not in err and "one by one" in err and "resume=true" in err
    assert main(["train"]) == 130
    assert "(under torchrun as before): dfd train resume=true" in capsys.readouterr().err


def test_python_m_dfd(workdir: Path) -> None:
    command = [sys.executable, "-m", "dfd", "train", "nonsense"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr.startswith("dfd train: 'nonsense'")) == (2, True)


def test_longer_command_names_win() -> None:
    assert find_command(["data", "prepare", "x"]) is not None
    assert find_command(["prepare"]) is None


# --- A full disk ---


def test_a_full_disk_is_told_in_one_line(recorder: Recorder, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.action = raising(OSError(errno.ENOSPC, "No space left on device", "outputs/x.png"))
    assert main(["train"]) == 2
    told = capsys.readouterr().err
    assert told == "dfd train: No space left on device: outputs/x.png; make room, and run it again\n"


def test_other_errors_of_the_system_are_bugs(
    recorder: Recorder, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder.action = raising(OSError(errno.EIO, "Input/output error"))
    assert main(["train"]) == 1
    assert "Traceback" in capsys.readouterr().err
