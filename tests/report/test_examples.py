from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from dfd.report.examples import PER_KIND, SIDE, most_wrong, thumbnail


def test_the_worst_come_first_and_right_answers_do_not_come(predictions: pd.DataFrame, tmp_path: Path) -> None:
    found = most_wrong(predictions, 0.5, tmp_path)
    missed, alarms = found["Fakes called real"], found["Reals called fake"]
    assert 1 < len(missed) <= PER_KIND and 1 < len(alarms) <= PER_KIND
    assert [each.prob for each in missed] == sorted(each.prob for each in missed) and missed[-1].prob < 0.5
    assert [each.prob for each in alarms] == sorted((e.prob for e in alarms), reverse=True) and alarms[-1].prob >= 0.5
    assert {each.label for each in missed} == {"fake"} and {each.label for each in alarms} == {"real"}
    assert alarms[0].path == "0.png"


def test_no_mistakes_no_examples(predictions: pd.DataFrame, tmp_path: Path) -> None:
    right = predictions[(predictions["prob"] >= 0.5) == (predictions["label"] == 1)]
    assert most_wrong(right, 0.5, tmp_path) == {"Fakes called real": [], "Reals called fake": []}


def test_thumbnails_are_small_jpegs(tmp_path: Path) -> None:
    Image.new("RGBA", (900, 300), (200, 30, 30, 128)).save(tmp_path / "wide.png")
    head, _, data = str(thumbnail(tmp_path / "wide.png")).partition(",")
    image = Image.open(BytesIO(b64decode(data)))
    assert head == "data:image/jpeg;base64" and image.format == "JPEG" and image.size == (SIDE, 53)


@pytest.mark.parametrize("name", ["missing.png", "broken.png", "", "a\0b.png", "\ud800.png", "x" * 5000])
def test_what_is_no_image_has_no_thumbnail(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG but no more")
    assert thumbnail(tmp_path / name) is None
