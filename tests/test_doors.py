"""Every door through which something comes in from outside, and what is tried at it.

At each door: refused or handled with a reason, an exit code that is documented, no traceback, nothing written outside
of the folders that are dfd's, memory and time within limits. What other tests try already is listed in ELSEWHERE, so
that the list of doors is whole.
"""

import json
import os
import pkgutil
import re
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from multiprocessing import forkserver
from pathlib import Path

import pandas as pd
import pytest

import dfd.commands
from dfd.cli import main
from dfd.data.manifest import Manifest
from dfd.data.names import to_path, to_text
from dfd.errors import EXIT_OK, EXIT_PARTIAL, EXIT_USER_ERROR, UserError
from dfd.models import bundle as bundles
from tests import attacks
from tests.attacks import REFUSED, SHOWN
from tests.factories import tiny_bundle, tiny_ensemble, two_class_folder

ROOT = Path(__file__).parents[1]
QUICK = ("runtime.device=cpu", "runtime.workers=0", "runtime.precision=fp32")
MEMORY = 3 * 2**29  # bytes beyond what the process has already
LARGEST_FILE = 2**26
OUT, ERR = "out.txt", "err.txt"
SECONDS = 60  # a limit for what never ends; nothing here takes near that

# Door: what is tried there by another test.
ELSEWHERE = {
    "any image file": (
        "tests/data/test_decode.py::test_hostile_files_give_their_reason",
        "tests/data/test_decode.py::test_any_damage_gives_pixels_or_a_short_reason",
        "tests/data/test_decode.py::test_noise_is_no_image",
        "tests/data/test_decode.py::test_a_huge_file_is_not_read",
        "tests/data/test_decode.py::test_the_pixel_limit_is_inclusive_and_checked_before_decoding",
    ),
    "predict: a folder of bad files beside good ones": (
        "tests/commands/test_hostile.py::test_predict_scores_the_good_and_names_the_bad",
    ),
    "predict: videos": (
        "tests/video/test_reader.py::test_what_is_no_video_has_a_reason",
        "tests/video/test_reader.py::test_no_file_makes_it_read_another_one_or_the_network",
        "tests/video/test_reader.py::test_frames_that_lie_in_another_file_are_not_fetched",
        "tests/video/test_reader.py::test_too_many_pixels_are_refused_before_decoding",
        "tests/video/test_reader.py::test_damage_costs_the_frames_up_to_the_next_key_frame",
        "tests/video/test_reader.py::test_a_decoder_that_crashes_costs_only_what_was_to_come",
        "tests/video/test_reader.py::test_a_decoder_that_hangs_is_stopped",
        "tests/video/test_reader.py::test_a_decoder_that_talks_nonsense_is_not_believed",
        "tests/commands/test_predict_video.py::test_several_videos_have_a_row_and_a_page_each",
    ),
    "data prepare: a folder": ("tests/commands/test_hostile.py::test_prepare_keeps_the_good_and_lists_the_bad",),
    "data prepare: a .zip": (
        "tests/data/test_archive.py::test_members_outside_of_the_folder",
        "tests/data/test_archive.py::test_a_link_is_refused",
        "tests/data/test_archive.py::test_an_encrypted_archive",
        "tests/data/test_archive.py::test_a_damaged_archive_leaves_nothing",
        "tests/data/test_archive.py::test_a_bomb",
        "tests/data/test_archive.py::test_no_room",
    ),
    "bundle=": (
        "tests/models/test_bundle.py::test_a_single_flipped_bit_in_the_weights_is_noticed",
        "tests/models/test_bundle.py::test_any_flipped_bit_in_any_file_is_noticed",
        "tests/models/test_bundle.py::test_weights_of_another_network_are_noticed",
        "tests/ensemble/test_storage.py::test_a_file_that_wants_to_make_something_else_is_refused",
        "tests/ensemble/test_storage.py::test_nothing_is_unpickled",
        "tests/ensemble/test_storage.py::test_a_damaged_card_is_named",
    ),
    "run= of gan generate, gan project": (
        "tests/gan/test_storage.py::test_a_flipped_bit_is_noticed",
        "tests/gan/test_storage.py::test_a_shape_that_the_weights_do_not_fit_is_told",
    ),
    "settings: words and files": (
        "tests/test_cli.py::test_mistakes_elsewhere",
        "tests/test_cli.py::test_a_yaml_file_with_a_mistake_is_a_mistake_of_the_user",
        "tests/test_cli.py::test_any_name_survives_omegaconf",
    ),
    "serve: requests": (
        "tests/serving/test_app.py::test_hostile_pictures_are_refused_with_a_reason",
        "tests/serving/test_app.py::test_a_mistaken_request_is_one_sentence",
        "tests/serving/test_app.py::test_names_come_back_without_folders_and_without_signs_that_deceive",
        "tests/serving/test_uploads.py::test_whatever_arrives_is_a_form_or_a_problem",
        "tests/serving/test_uploads.py::test_no_more_is_read_than_accepted",
        "tests/serving/test_workers.py::test_one_that_is_stuck_or_crashes_takes_no_other_with_it",
        "tests/serving/test_guard.py::test_pages_of_other_sites_may_not_use_it",
        "tests/serving/test_openapi.py::test_the_server_keeps_to_its_description",
    ),
}


@pytest.mark.parametrize("test", [test for tests in ELSEWHERE.values() for test in tests])
def test_what_is_said_to_be_tried_elsewhere_is(test: str) -> None:
    path, _, name = test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_image_files_are_opened_in_one_place() -> None:
    """So that what is tried at one door holds at the others. The others open what dfd itself has just encoded."""
    opening = {
        str(path.relative_to(ROOT / "src" / "dfd"))
        for path in (ROOT / "src" / "dfd").rglob("*.py")
        if re.search(r"\bImage\.open\(|\bcv2\.(imread|imdecode)\(|\bimageio\b|\bskimage\.io\b", path.read_text())
    }
    assert opening == {"data/decode.py", "data/changes.py", "explain/views.py"}


def test_nothing_is_unpickled_or_executed() -> None:
    for path in (ROOT / "src" / "dfd").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bpickle\.loads?\(|\bjoblib\.load\(|\byaml\.(load|unsafe_load|full_load)\(", text), path
        assert not re.search(r"(?<!def )(?<![.\w])(eval|exec)\(|os\.system\(|shell=True|allow_pickle=True", text), path
        assert all("weights_only=True" in line for line in text.splitlines() if "torch.load(" in line), path


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class Place:
    """A working folder, and all around it that must stay as it is."""

    def __init__(self, top: Path) -> None:
        self.top, self.work = top, top / "deep" / "work"
        self.work.mkdir(parents=True)
        for name in (OUT, ERR):
            (self.work.parent / name).touch()
        self._before: set[Path] = set()

    def run(self, *arguments: str | Path) -> Ended:
        """Run a command in a process with limits; it has to end as documented and write into its own folders alone."""
        self._before = self._around()
        quick = {"data": ("workers=0",), "serve": QUICK[::2]}.get(str(arguments[0]), QUICK)
        ended = confined([*map(str, arguments), *quick], self.work)
        assert ended.code in (EXIT_OK, EXIT_PARTIAL, EXIT_USER_ERROR), ended
        assert "Traceback" not in ended.err + ended.out, ended.err
        assert self._around() == self._before
        assert not Path("/tmp/dfd-evil.jpg").exists()
        return ended

    def refused(self, *arguments: str | Path) -> str:
        """The message of a command that has to be refused, which is one line without control characters."""
        ended = self.run(*arguments)
        assert ended.code == EXIT_USER_ERROR, ended
        assert "dfd" in ended.err and "\x1b" not in ended.err
        return ended.err

    def _around(self) -> set[Path]:
        """All files but those in the folders that are dfd's."""
        found = set()
        for folder, folders, files in os.walk(self.top):
            if Path(folder) == self.work:
                folders[:] = [name for name in folders if name not in ("data", "outputs", "scores")]
            found |= {Path(folder) / name for name in (*files, *folders)}
        return found


def confined(arguments: list[str], work: Path) -> Ended:
    """A command in a copy of this process, with limits on memory, files and time."""
    out, err = work.parent / OUT, work.parent / ERR
    sys.stdout.flush(), sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            for number, path in ((1, out), (2, err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_TRUNC), number)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
            os.chdir(work)
            forkserver._forkserver._forkserver_pid = None  # one that other tests started is no child of this copy
            _limit()
            code = main(arguments)
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    ends = time.monotonic() + SECONDS
    while (waited := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > ends:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"{arguments} has no end")
        time.sleep(0.01)
    read = (path.read_text(encoding="utf-8", errors="replace") for path in (out, err))
    return Ended(os.waitstatus_to_exitcode(waited[1]), *read)


def _limit() -> None:
    status = Path("/proc/self/status").read_text()
    has = int(re.search(r"VmData:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]
    resource.setrlimit(resource.RLIMIT_DATA, (has + MEMORY, has + MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))


@pytest.fixture(scope="module")
def imported() -> None:
    """Once here, so that not each copy of this process does it."""
    for module in pkgutil.iter_modules(dfd.commands.__path__, "dfd.commands."):
        import_module(module.name)


@pytest.fixture
def place(tmp_path: Path, imported: None) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    bundles.save(tiny_bundle(), folder)
    return folder


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a stack of scores, whose estimator is a file of skops."""
    from dfd.ensemble.strategies import fit
    from tests.ensemble.conftest import synthetic
    from tests.ensemble.test_strategies import strategy

    folder = tmp_path_factory.mktemp("ensemble") / "bundle"
    stack = fit(strategy("stacking_logreg", select=False), *synthetic())
    members = tiny_ensemble().members
    bundles.save(
        replace(tiny_ensemble(stack), members=tuple(members[number % 2] for number in range(stack.size))), folder
    )
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder of hostile pictures, and what has to become of each."""
    folder = tmp_path_factory.mktemp("pictures") / "in"
    return folder, attacks.write_images(folder)


def fates(table: pd.DataFrame) -> dict[str, str]:
    """File name to SHOWN or REFUSED of a table of scores; what is refused has a reason and no number."""
    refused = table["error"].notna()
    assert table.loc[refused, "prob"].isna().all() and table.loc[~refused, "prob"].between(0, 1).all()
    assert table.loc[refused, "error"].str.len().between(1, 200).all()
    names = [to_path(path).name for path in table["path"]]
    return {name: REFUSED if bad else SHOWN for name, bad in zip(names, refused, strict=True)}


def newest(place: Place, command: str) -> Path:
    return max((place.work / "outputs" / command).glob("*/*"))


@pytest.mark.parametrize("pattern", ["", "*.*"], ids=["a folder", "a glob"])
def test_predict(place: Place, bundle: Path, pictures: tuple[Path, dict[str, str]], pattern: str) -> None:
    folder, expected = pictures
    ended = place.run("predict", folder / pattern, f"bundle={bundle}")
    assert ended.code == EXIT_PARTIAL and "\x1b[31mred" not in ended.out
    assert fates(pd.read_parquet(newest(place, "predict") / "predictions.parquet")) == expected


def test_predict_one_file_after_the_other(place: Place, bundle: Path, pictures: tuple[Path, dict[str, str]]) -> None:
    """One file gives a verdict card, which looks deeper into it."""
    folder, expected = pictures
    for name in ("tags-10-mb.jpg", "also-html.png", "<img src=x onerror=alert(1)>.jpg", "device.jpg", "pixels-50k.png"):
        ended = place.run("predict", folder / name, f"bundle={bundle}", "method=none")
        assert ended.code == (EXIT_OK if expected[name] == SHOWN else EXIT_PARTIAL)
        for page in newest(place, "predict").rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            assert "<script>alert" not in text and "<img src=x" not in text


def test_explain(place: Place, bundle: Path, pictures: tuple[Path, dict[str, str]]) -> None:
    folder, expected = pictures
    refused = sorted(name for name, fate in expected.items() if fate == REFUSED)
    ended = place.run(
        "explain", *(folder / name for name in refused), f"bundle={bundle}", "method=occlusion", "samples=10"
    )
    assert ended.code in (EXIT_PARTIAL, EXIT_USER_ERROR)


def test_score_a_folder(place: Place, bundle: Path, pictures: tuple[Path, dict[str, str]]) -> None:
    folder, expected = pictures
    ended = place.run("score", folder, "out=scores", f"bundle={bundle}")
    assert ended.code == EXIT_PARTIAL
    table = pd.concat([pd.read_parquet(part) for part in (place.work / "scores").glob("part-*.parquet")])
    assert fates(table) == expected


def test_score_a_tar_whose_names_lead_outside(place: Place, bundle: Path) -> None:
    shard = attacks.write_tar(place.top / "shard.tar")
    place.run("score", shard, "out=scores", f"bundle={bundle}")
    table = pd.concat([pd.read_parquet(part) for part in (place.work / "scores").glob("part-*.parquet")])
    assert table.loc[table["path"].str.endswith("zero.jpg"), "error"].notna().all()
    assert table.loc[table["path"].str.endswith("good.jpg"), "error"].isna().all()
    assert (
        not table["prob"].notna()[table["path"].str.endswith(("link.jpg", "hard.jpg", "device.jpg", "pipe.jpg"))].any()
    )


@pytest.mark.parametrize("column", ["lists", "numbers", "texts", "nothing"])
def test_score_a_parquet_of_the_wrong_kind(place: Place, bundle: Path, column: str) -> None:
    values = {"lists": [[1] * 100_000] * 3, "numbers": [1, 2, 3], "texts": ["a", "b", "c"], "nothing": [None] * 3}
    pd.DataFrame({"bytes": values[column]}).to_parquet(place.top / "rows.parquet")
    assert "bytes" in place.refused("score", place.top / "rows.parquet", "out=scores", f"bundle={bundle}")


def test_score_bytes_that_are_no_pictures(place: Place, bundle: Path) -> None:
    contents = {name: data for name, (data, _) in attacks.images().items()}
    rows = pd.DataFrame({"path": [to_text(name) for name in contents], "bytes": list(contents.values())})
    rows.to_parquet(place.top / "rows.parquet", row_group_size=8)
    assert place.run("score", place.top / "rows.parquet", "out=scores", f"bundle={bundle}").code == EXIT_PARTIAL
    table = pd.concat([pd.read_parquet(part) for part in (place.work / "scores").glob("part-*.parquet")])
    assert sorted(fates(table).values()) == sorted(fate for _, fate in attacks.images().values())


def test_prepare_a_folder(place: Place, pictures: tuple[Path, dict[str, str]]) -> None:
    folder, expected = pictures
    raw = two_class_folder(place.top / "raw", each=20)
    (raw / "fake" / "more").symlink_to(folder)
    ended = place.run("data", "prepare", "data=folder", "data.name=tiny", f"data.source={raw}")
    assert ended.code == EXIT_PARTIAL
    unusable = pd.read_csv(place.work / "data" / "prepared" / "tiny" / "unusable.csv")
    refused = {name for name, fate in expected.items() if fate == REFUSED}
    assert {to_path(path).name for path in unusable["path"]} == refused


@pytest.mark.parametrize("name", attacks.zips())
def test_prepare_a_zip(place: Place, name: str) -> None:
    (place.top / "raw.zip").write_bytes(attacks.zips()[name])
    message = place.refused("data", "prepare", "data=folder", "data.name=tiny", f"data.source={place.top / 'raw.zip'}")
    assert "raw.zip" in message
    assert not list((place.work / "data").rglob("*.jpg"))


def test_prepare_a_csv_that_points_outside(place: Place) -> None:
    """What it names is read as a picture, as any file that is named is, and nothing else."""
    raw = two_class_folder(place.top / "raw", each=20)
    rows = [[path.relative_to(raw), int(path.parent.name == "fake")] for path in sorted(raw.rglob("*.png"))]
    strange = ["/etc/passwd", "../../../etc/passwd", "=cmd|' /C calc'!A0", "\x1b[31m.jpg", "http://127.0.0.1:9/a.jpg"]
    table = pd.DataFrame(rows + [[path, 1] for path in strange], columns=["path", "label"])
    table.to_csv(raw / "list.csv", index=False)
    ended = place.run("data", "prepare", "data=folder", "data.name=tiny", f"data.source={raw / 'list.csv'}")
    assert ended.code == EXIT_PARTIAL and "\x1b[31m" not in ended.out + ended.err
    unusable = pd.read_csv(place.work / "data" / "prepared" / "tiny" / "unusable.csv")
    assert len(unusable) == len(strange)


@pytest.mark.parametrize(
    "content", [b"path,label\n\xff\xfe,1\n", b"\0" * 1000, b'path,label\n"' + b"a" * 10**6, b"a" * 10**6]
)
def test_prepare_a_csv_that_is_none(place: Place, content: bytes) -> None:
    (place.top / "list.csv").write_bytes(content)
    assert "list.csv" in place.refused(
        "data", "prepare", "data=folder", "data.name=tiny", f"data.source={place.top / 'list.csv'}"
    )


def copy(bundle: Path, place: Place, attack: Callable[[Path], None]) -> Path:
    made = place.top / "hostile"
    shutil.copytree(bundle, made)
    attack(made)
    return made


@pytest.fixture(scope="module")
def unaware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `written` would appear."""
    return tmp_path_factory.mktemp("unaware")


@pytest.mark.parametrize("name", attacks.on_detectors())
def test_a_detector_from_a_stranger(place: Place, bundle: Path, unaware: Path, name: str) -> None:
    refuses_to_load(copy(bundle, place, attacks.on_detectors()[name]), unaware)


@pytest.mark.parametrize("name", attacks.on_ensembles())
def test_an_ensemble_from_a_stranger(place: Place, ensemble: Path, unaware: Path, name: str) -> None:
    refuses_to_load(copy(ensemble, place, attacks.on_ensembles()[name]), unaware)


def refuses_to_load(hostile: Path, unaware: Path) -> None:
    """All commands load bundles in the same way; so this is tried here, and at some of their doors below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(unaware)
        with pytest.raises(UserError) as caught:
            bundles.load(hostile)
    assert str(hostile) in str(caught.value) and len(str(caught.value)) < 1000
    assert not list(unaware.iterdir())


def test_the_bundles_themselves_are_fine(bundle: Path, ensemble: Path) -> None:
    """So that it is the attack that is refused."""
    bundles.load(bundle), bundles.load(ensemble)


@pytest.mark.parametrize(
    "command",
    ["predict FILE", "explain FILE", "score FILE out=scores", "serve port=0", "eval data=folder data.name=a", "export"],
)
def test_every_command_that_takes_a_bundle_refuses_it(place: Place, bundle: Path, command: str) -> None:
    picture = two_class_folder(place.top / "raw", each=1) / "fake" / "000.png"
    hostile = copy(bundle, place, attacks.on_detectors()["weights are a pickle"])
    words = [str(picture) if word == "FILE" else word for word in command.split()]
    assert str(hostile) in place.refused(*words, f"bundle={hostile}")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Place(tmp_path_factory.mktemp("manifest"))
    raw = two_class_folder(place.top / "raw", each=20)
    assert place.run("data", "prepare", "data=folder", "data.name=tiny", f"data.source={raw}").code == EXIT_OK
    return place.work / "data" / "prepared" / "tiny"


@pytest.mark.parametrize("name", attacks.on_manifests())
def test_a_manifest_from_a_stranger(tmp_path: Path, manifest: Path, name: str) -> None:
    shutil.copytree(manifest, tmp_path / "tiny")
    Manifest.load(tmp_path / "tiny")
    attacks.on_manifests()[name](tmp_path / "tiny")
    with pytest.raises(UserError, match="damaged|do not belong together"):
        Manifest.load(tmp_path / "tiny")


TAGGED = (
    "!!python/object/apply:os.mkdir ['written']",
    "!!python/name:os.system",
    "!!python/object/new:os.system ['x']",
)


@pytest.mark.parametrize("tag", TAGGED)
def test_settings_with_tags(place: Place, tag: str) -> None:
    """In files of one's own settings, and as the value of a setting."""
    own = place.top / "own" / "model"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(f"name: mine\nbackbone: {tag}\n")
    place.refused("train", "--config-dir", own.parent, "model=mine")
    place.refused("predict", "a.jpg", f"bundle={tag}")
    assert not (place.work / "written").exists()


def test_a_checkpoint_that_is_a_pickle(place: Place) -> None:
    from dfd.training.checkpoint import FOLDER, load_state

    (place.work / FOLDER).mkdir()
    (place.work / FOLDER / "last.pt").write_bytes(attacks.images()["pickle.jpg"][0])
    with pytest.raises(UserError, match="last.pt is damaged"):
        load_state(place.work)
    assert not Path("written").exists()


def test_a_run_of_a_gan_from_a_stranger(place: Place) -> None:
    folder = place.top / "run" / "generator"
    folder.mkdir(parents=True)
    shape = {"resolution": 64, "latent": 10**9, "mapping_layers": 10**9, "channel_base": 10**9, "channel_max": 10**9}
    card = {"format": 1, "name": "x", "shape": shape, "data": "x", "fingerprint": "x", "training": {}, "sha256": "x"}
    small = json.dumps(card | {"shape": dict.fromkeys(shape, 64)})
    for text in (json.dumps(card), small, "[" * 20_000, "- 1", "a: !!python/object/apply:os.mkdir ['written']"):
        (folder / "generator.yaml").write_text(text)
        assert "generator.yaml" in place.refused("gan", "generate", f"run={folder.parent}", "n=1")
