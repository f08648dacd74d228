import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dfd.evidence.jpeg import encoding_of, structure_of
from dfd.evidence.tables import LUMA_AT
from tests.images import encoded, picture

GOOD = encoded(picture(1, 64, 48), quality=80)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_how_a_file_was_encoded(subsampling: str, progressive: bool) -> None:
    data = encoded(picture(1, 64, 48), quality=83, subsampling=subsampling, progressive=progressive)
    found = encoding_of(structure_of(data))
    assert found is not None
    assert (found.quality, found.standard, found.subsampling, found.progressive) == (83, True, subsampling, progressive)
    assert list(found.luma) == list(LUMA_AT[82])


def test_grey_pictures_have_no_colours_to_subsample() -> None:
    found = encoding_of(structure_of(encoded(Image.fromarray(picture(1)).convert("L"), quality=60)))
    assert found is not None and (found.subsampling, found.quality) == ("none", 60)


def test_tables_of_its_own() -> None:
    tables = [[min(255, 3 + place) for place in range(64)]] * 2
    found = encoding_of(structure_of(encoded(picture(1), qtables=tables)))
    assert found is not None and not found.standard and 1 <= found.quality <= 100


def test_the_end_is_found_past_markers_in_segments_and_restarts_in_scans() -> None:
    data = encoded(picture(1, 64, 48), comment=b"\xff\xd9 not the end", restart_marker_blocks=1)
    assert structure_of(data).end == len(data)
    assert structure_of(data + b"\xff\xd9 behind").end == len(data)


@pytest.mark.parametrize("length", [0, 2, 3, 10, len(GOOD) // 2, len(GOOD) - 1])
def test_a_file_cut_short_has_no_end(length: int) -> None:
    assert structure_of(GOOD[:length]).end is None


@given(st.binary(max_size=300), st.integers(0, len(GOOD)))
def test_nothing_upsets_it(noise: bytes, place: int) -> None:
    for data in (noise, b"\xff\xd8" + noise, GOOD[:place] + noise + GOOD[place:]):
        found = structure_of(data)
        assert found.end is None or found.end <= len(data)
        encoding = encoding_of(found)
        assert encoding is None or 1 <= encoding.quality <= 100
