"""What heat maps take of the machine."""

import resource
import sys
import tracemalloc
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from dfd import machine
from dfd.config import RuntimeConfig
from dfd.ensemble.combiners import Mean
from dfd.models import bundle as bundles
from dfd.serving.explaining import Explain, Explainer
from dfd.serving.uploads import File
from dfd.serving.work import COPIES
from tests.factories import tiny_bundle, tiny_ensemble

NETWORKS = 12  # maps of a picture's own size for so many take more than a job may
SIDE = 2400  # pixels; large enough for the maps that are answered to count for little


def job(side: int) -> Explain:
    buffer = BytesIO()
    Image.new("RGB", (side, side), (9, 99, 200)).save(buffer, "PNG")
    return Explain(File("flat.png", buffer.getvalue()), "gradcam")


@pytest.fixture
def explainer(tmp_path: Path) -> Explainer:
    """Of an ensemble that looks at a picture in all ways; it is loaded already."""
    fits = ("resize", "resize", "crop", "square")
    members = tuple(tiny_bundle(f"{n}", n, size=96, fit=fits[n % 4]) for n in range(NETWORKS))
    combiner = Mean((1 / NETWORKS,) * NETWORKS, "logit")
    bundles.save(replace(tiny_ensemble(combiner), members=members), tmp_path / "bundle")
    quick = RuntimeConfig(device="cpu", precision="fp32", workers=0)
    made = Explainer(tmp_path / "bundle", quick, threads=1, max_pixels=SIDE**2)
    made(job(8))
    return made


def test_maps_of_many_networks_take_no_more_memory_than_a_job_may(explainer: Explainer) -> None:
    tracemalloc.start()
    try:
        answer = explainer(job(SIDE))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(answer["maps"]) == NETWORKS + 1
    assert peak < COPIES * 4 * SIDE**2


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_large_picture_leaves_nothing_behind(explainer: Explainer) -> None:
    machine.give_back_now()  # what other tests have left, which would be used again
    before = resident()
    explainer(job(SIDE))
    assert resident() - before < 4 * SIDE**2


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
