from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dfd.models import bundle as bundles
from tests.factories import tiny_bundle, tiny_ensemble
from tests.serving.running import Running, running


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "bundle"
    # Two detectors that look at the picture in different forms, large enough for class activation maps.
    members = (tiny_bundle("first", 0, size=96), tiny_bundle("second", 1, size=80, fit="square"))
    bundles.save(replace(tiny_ensemble(), members=members), folder)
    return folder


@pytest.fixture(scope="session")
def served(bundle_folder: Path) -> Iterator[Running]:
    """A server for tests that leave it as it was. Takes 8 images and 300,000 bytes a request."""
    with running(bundle_folder, max_images=8, max_bytes=300_000, queue=64, decode_seconds=5) as one:
        yield one
