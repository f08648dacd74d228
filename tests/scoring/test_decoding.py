import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dfd.data import decode
from dfd.data.dataset import image_tensor
from dfd.data.decode import read_image
from dfd.data.transforms import Joint
from dfd.errors import UserError
from dfd.scoring import decoding
from dfd.scoring.decoding import Decoder, Pool, Worker, decoder_of
from dfd.scoring.item import Content, Problem
from tests.factories import tiny_preprocessing
from tests.scoring.conftest import encoded
from tests.scoring.deadly import Deadly

ONE = Joint((tiny_preprocessing(),))
TWO = Joint((tiny_preprocessing(), tiny_preprocessing(size=48, fit="square")))
BATCHES: list[list[Content]] = [
    [encoded(0), b"no image", encoded(1)],
    [Problem("too large"), Problem("gone")],
    [],
    [encoded(2), encoded(3), encoded(4), encoded(5)],
    *([encoded(number)] for number in range(6, 14)),
]


@pytest.fixture(params=[0, 2], ids=["here", "pool"])
def workers(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def decoded(decoder: Decoder, batches: list[list[Content]]) -> Iterator[tuple[torch.Tensor, list[str | None]]]:
    waiting = 0
    for batch in batches:
        decoder.put(batch)
        waiting += 1
        if waiting > decoder.ahead:
            waiting -= 1
            result = decoder.take()
            yield result.inputs.clone(), result.reasons
    for _ in range(waiting):
        result = decoder.take()
        yield result.inputs.clone(), result.reasons


@pytest.mark.parametrize("joint", [ONE, TWO], ids=["one form", "two forms"])
def test_inputs_are_those_of_every_other_command(joint: Joint, workers: int, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(20))
    batches = [*BATCHES, [str(tmp_path / "a.png"), str(tmp_path / "none.png")]]
    decoder = decoder_of(joint, 10**6, 4, workers)
    results = list(decoded(decoder, batches))
    decoder.close()
    assert len(results) == len(batches)
    for (inputs, reasons), batch in zip(results, batches, strict=True):
        good = [one for one, reason in zip(batch, reasons, strict=True) if reason is None]
        sources = [Path(one) if isinstance(one, str) else one for one in good]
        assert len(inputs) == len(good)
        for got, source in zip(inputs, sources, strict=True):
            assert torch.equal(got, image_tensor(joint(read_image(source, 10**6))))  # type: ignore[arg-type]
    assert [reasons for _, reasons in results[:3]] == [[None, "not an image", None], ["too large", "gone"], []]
    assert results[-1][1] == [None, "no such file"]


def test_a_disk_that_fails_is_no_reason_to_give_an_image_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(encoded(0))
    decoder = decoder_of(ONE, 10**6, 4, 0)
    for error, reason in ((errno.EACCES, "permission denied"), (errno.ENAMETOOLONG, "cannot be read (File name too")):
        monkeypatch.setattr(decode.os, "stat", _raiser(OSError(error, os.strerror(error))))
        decoder.put([str(tmp_path / "a.png")])
        (told,) = decoder.take().reasons
        assert told is not None and told.startswith(reason)
    for error in (errno.ESTALE, errno.EIO, errno.EMFILE):
        monkeypatch.setattr(decode.os, "stat", _raiser(OSError(error, os.strerror(error))))
        decoder.put([str(tmp_path / "a.png")])
        with pytest.raises(UserError, match=rf"a\.png can't be read: {os.strerror(error)}; .*the same command goes on"):
            decoder.take()


def test_a_folder_that_is_gone_is_no_reason_to_give_its_images_up(tmp_path: Path, workers: int) -> None:
    """As the network drive that was unmounted: its folder is missing, or empty."""
    (tmp_path / "empty").mkdir()
    for place in ("gone", "empty"):
        decoder = decoder_of(ONE, 10**6, 4, workers)
        decoder.put([str(tmp_path / place / "a.png")])
        with pytest.raises(UserError, match=rf"{place}/a\.png can't be read: its folder is gone or empty"):
            decoder.take()
        decoder.close()


def _raiser(error: OSError) -> Callable[..., None]:
    def fail(*arguments: object, **more: object) -> None:
        raise error

    return fail


def test_too_many_pixels_are_refused(workers: int) -> None:
    decoder = decoder_of(ONE, 1000, 4, workers)
    decoder.put([encoded(0)])
    assert decoder.take().reasons == ["1,600 pixels, limit 1,000 (max_pixels)"]
    decoder.close()


def test_an_image_that_ends_or_hangs_its_process_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BATCH_SECONDS", 2)
    monkeypatch.setattr(decoding, "IMAGE_SECONDS", 1)
    deadly, hanging = encoded(0, (13, 20)), encoded(0, (17, 20))
    batches: list[list[Content]] = [[encoded(1)], [encoded(2), deadly, encoded(3)], [encoded(4)], [hanging, encoded(5)]]
    joint = Deadly((tiny_preprocessing(),))
    decoder = Pool(Worker(joint, 10**6), 4, 2)
    results = list(decoded(decoder, [*batches, *([encoded(number)] for number in range(6, 12))]))
    decoder.close()
    reason = "crashes the decoder, or takes it more than 1 s"
    assert [reasons for _, reasons in results[:4]] == [[None], [None, reason, None], [None], [reason, None]]
    assert all(reasons == [None] for _, reasons in results[4:])
    for (inputs, _), seeds in zip(results, ([1], [2, 3], [4], [5], [6]), strict=False):
        wanted = [image_tensor(ONE(read_image(encoded(seed), 10**6))) for seed in seeds]
        assert torch.equal(inputs, torch.stack(wanted))


def test_all_processes_may_be_lost_at_once() -> None:
    decoder = Pool(Worker(Deadly((tiny_preprocessing(),)), 10**6), 4, 2)
    batches: list[list[Content]] = [[encoded(0, (13, 20))] * 2] * 4
    results = list(decoded(decoder, [*batches, [encoded(1)]]))
    decoder.close()
    assert all(len(inputs) == 0 and None not in reasons for inputs, reasons in results[:4])
    assert results[4][1] == [None]


def test_a_process_that_is_ended_while_it_waits_costs_nothing() -> None:
    decoder = Pool(Worker(ONE, 10**6), 4, 1)
    process = decoder._pool.schedule(os.getpid).result()
    os.kill(process, signal.SIGKILL)
    while Path(f"/proc/{process}").exists():
        time.sleep(0.01)
    for seed in range(3):
        decoder.put([encoded(seed)])
        assert decoder.take().reasons == [None]
    decoder.close()


def test_workers_that_can_not_work_at_all_are_no_reason_to_give_images_up(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Pool(Worker(ONE, 10**6), 4, 1)
    monkeypatch.setattr(decoder, "_result", lambda future: None)
    decoder.put([encoded(0)])
    with pytest.raises(UserError, match=r"choose fewer with runtime\.workers"):
        decoder.take()
    decoder.close()


def test_pixels_are_handed_over_without_a_copy() -> None:
    decoder = decoder_of(ONE, 10**6, 4, 0)
    decoder.put([encoded(0), encoded(1)])
    inputs = decoder.take().inputs
    assert inputs.is_contiguous(memory_format=torch.channels_last) and inputs.dtype == torch.uint8
    assert np.shares_memory(inputs.numpy(), decoder._slot)  # type: ignore[attr-defined]
