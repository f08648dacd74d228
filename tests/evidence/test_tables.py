from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dfd.evidence.tables import CHROMA_AT, LUMA_AT, quality_of, standard_quality
from tests.images import encoded, picture


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 90, 95, 100])
def test_the_tables_are_those_of_libjpeg(quality: int) -> None:
    with Image.open(BytesIO(encoded(picture(0), quality=quality))) as image:
        luma, chroma = image.quantization[0], image.quantization[1]
    assert list(LUMA_AT[quality - 1]) == list(luma) and list(CHROMA_AT[quality - 1]) == list(chroma)
    assert standard_quality(luma, chroma) == quality


def test_other_tables_have_the_nearest_quality() -> None:
    assert quality_of([1] * 64) == 100
    assert 1 <= quality_of([200] * 64) <= 20
    assert standard_quality([7] * 64, None) is None


def test_colours_may_be_rounded_otherwise_but_not_be_others() -> None:
    luma, chroma = LUMA_AT[74], CHROMA_AT[74]
    assert standard_quality(luma, chroma - 1) == 75
    assert standard_quality(luma, CHROMA_AT[49]) is None
    assert standard_quality(np.asarray(luma) + 1, chroma) is None
