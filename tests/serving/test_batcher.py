import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from dfd.serving import batcher as module
from dfd.serving.batcher import FAILURES, Batcher


class Recorder:
    """Doubles numbers; keeps what came together."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.batches: list[list[int]] = []
        self.gate = gate

    def __call__(self, values: Sequence[int]) -> list[int]:
        self.batches.append(list(values))
        if self.gate is not None:
            self.gate.wait(10)
        if -13 in values:
            raise ValueError("unlucky")
        return [2 * value for value in values]


def batcher(
    run: Recorder,
    batch_size: int = 4,
    wait: float = 0.0,
    on_the_way: int = 0,
    observe: Callable[[int, float], None] = lambda size, seconds: None,
) -> Batcher[int, int]:
    made: Batcher[int, int] = Batcher(run, batch_size, wait, lambda: on_the_way, observe)
    made.start()
    return made


def apply_all(made: Batcher[int, int], values: Sequence[int]) -> list:
    async def run() -> list:
        return await asyncio.gather(*(made.apply(value) for value in values), return_exceptions=True)

    try:
        return asyncio.run(run())
    finally:
        made.close()


def test_each_gets_its_own_answer_and_no_batch_is_larger_than_agreed() -> None:
    run = Recorder()
    assert apply_all(batcher(run), range(50)) == [2 * value for value in range(50)]
    assert max(len(batch) for batch in run.batches) <= 4
    assert sorted(value for batch in run.batches for value in batch) == list(range(50))


def test_what_arrives_during_a_pass_shares_the_next_one() -> None:
    gate = threading.Event()
    run = Recorder(gate)
    made = batcher(run)
    threading.Timer(0.2, gate.set).start()
    apply_all(made, range(5))
    assert [len(batch) for batch in run.batches] in ([1, 4], [2, 3], [3, 2], [4, 1])
    assert len(run.batches) == 2


def test_nobody_waits_for_others_that_are_not_coming() -> None:
    start = time.monotonic()
    assert apply_all(batcher(Recorder(), wait=30.0), [1]) == [2]
    assert time.monotonic() - start < 10


def test_one_waits_for_others_that_are_on_their_way_but_not_for_ever() -> None:
    run = Recorder()
    made = batcher(run, wait=0.3, on_the_way=1)

    async def two() -> list[int]:
        first = asyncio.create_task(made.apply(1))
        await asyncio.sleep(0.1)
        return [await first, await made.apply(2)] if first.done() else await asyncio.gather(first, made.apply(2))

    assert asyncio.run(two()) == [2, 4]
    made.close()
    assert run.batches == [[1, 2]]


def test_a_batch_that_fails_fails_alone() -> None:
    made = batcher(Recorder(), batch_size=1)
    found = apply_all(made, [1, -13, 2])
    assert isinstance(found[1], ValueError) and (found[0], found[2]) == (2, 4)


def test_a_request_that_was_given_up_does_not_disturb_the_others() -> None:
    gate = threading.Event()
    made = batcher(Recorder(gate))

    async def run() -> int:
        lost, kept = asyncio.create_task(made.apply(1)), asyncio.create_task(made.apply(2))
        await asyncio.sleep(0.05)
        lost.cancel()
        gate.set()
        return await kept

    assert asyncio.run(run()) == 4
    made.close()


def test_the_end_comes_after_what_is_waiting() -> None:
    gate = threading.Event()
    made = batcher(Recorder(gate), batch_size=1)

    async def run() -> list[int]:
        tasks = [asyncio.create_task(made.apply(value)) for value in (1, 2, 3)]
        await asyncio.sleep(0.05)
        threading.Timer(0.1, gate.set).start()
        await asyncio.to_thread(made.close)
        return await asyncio.gather(*tasks)

    assert asyncio.run(run()) == [2, 4, 6]
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(made.apply(4), 0.05))


def test_figures_that_cannot_be_kept_cost_nobody_an_answer() -> None:
    def broken(size: int, seconds: float) -> None:
        raise OSError("no figures")

    made = batcher(Recorder(), batch_size=1, observe=broken)
    assert apply_all(made, [1, 2]) == [2, 4]


def test_it_is_well_until_many_batches_in_a_row_have_failed() -> None:
    made = batcher(Recorder(), batch_size=1)

    async def run() -> list[bool]:
        well = [made.is_well()]
        for value in [*[-13] * (FAILURES - 1), 1, *[-13] * FAILURES, 1]:
            await asyncio.gather(made.apply(value), return_exceptions=True)
            well.append(made.is_well())
        return well

    well = asyncio.run(run())
    made.close()
    assert well == [True] * (2 * FAILURES) + [False, True]
    assert made.is_well()  # it was asked to end


def test_a_batch_without_an_end_is_seen_and_nobody_waits_for_it_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HUNG_SECONDS", 0.1)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.1)
    gate = threading.Event()
    made = batcher(Recorder(gate))

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await made.apply(1)

    asyncio.run(run())
    assert not made.is_well()
    start = time.monotonic()
    made.close()
    assert time.monotonic() - start < 5
    gate.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_is_seen() -> None:
    def run(values: Sequence[int]) -> list[int]:
        raise SystemExit

    made: Batcher[int, int] = Batcher(run, 1, 0.0, lambda: 0, lambda size, seconds: None)
    assert made.is_well()  # not yet begun
    made.start()

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(made.apply(1), 0.2)

    asyncio.run(ask())
    assert not made.is_well()
