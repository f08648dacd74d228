import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dfd import runtime
from dfd.config import RuntimeConfig
from dfd.errors import UserError


@given(st.tuples(st.integers(0, 2**31), st.integers(0, 10**6)), st.tuples(st.integers(0, 2**31), st.integers(0, 10**6)))
def test_seeds_differ_whenever_a_part_differs(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (runtime.seed_from(*one) == runtime.seed_from(*other)) == (one == other)


@pytest.mark.parametrize(
    ("wanted", "model_gains", "machine_has", "expected"),
    [
        ("auto", True, True, "bf16"),
        ("auto", False, True, "fp32"),
        ("auto", True, False, "fp32"),
        ("bf16", False, False, "bf16"),
    ],
)
def test_precision_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, wanted: str, model_gains: bool, machine_has: bool, expected: str
) -> None:
    monkeypatch.setattr(runtime, "cpu_has_bf16", lambda: machine_has)
    config = RuntimeConfig(device="cpu", precision=wanted)
    assert runtime.start(config, cpu_bf16=model_gains).precision == expected


def test_jobs_of_one_process_may_differ_in_precision() -> None:
    for precision in ("fp32", "bf16", "fp32"):
        started = runtime.start(RuntimeConfig(device="cpu", precision=precision), cpu_bf16=False)
        with started.autocast(cpu_bf16=True):
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a device that is there")
def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="runtime.device=cuda: no such device here; found: cpu"):
        runtime.start(RuntimeConfig(device="cuda"), cpu_bf16=False)


def test_half_precision_on_a_cpu_is_refused() -> None:
    with pytest.raises(UserError, match="fp16 needs a GPU"):
        runtime.start(RuntimeConfig(device="cpu", precision="fp16"), cpu_bf16=False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_is_used_if_there_is_one() -> None:
    started = runtime.start(RuntimeConfig(), cpu_bf16=False)
    assert started.device.type == "cuda" and started.precision in ("bf16", "fp16")
