"""The machine a command runs on: device, precision, ranks, seeds.

Wraps accelerate's `Accelerator`, so that one process on a CPU and many under torchrun run the same code.
"""

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list, gather_object
from torch import nn

from dfd import machine
from dfd.config import RuntimeConfig
from dfd.errors import UserError

Module = TypeVar("Module", bound=nn.Module)
Result = TypeVar("Result")

PATIENCE = timedelta(hours=12)  # ranks wait for each other, such as for the main one to prepare a data set
MIXED = "fp32 or bf16 by network"
MAX_AUTO_WORKERS = 8  # decoding keeps up with one GPU by then; more only costs memory


@dataclass(frozen=True)
class Runtime:
    """Device, precision and place among the ranks of this process.

    `wanted` is the precision asked for, `precision` what it came to: fp32, bf16, fp16, or MIXED where each network
    runs in its own.
    """

    accelerator: Accelerator
    wanted: str
    precision: str
    workers: int
    channels_last: bool

    @property
    def device(self) -> torch.device:
        """Where tensors go."""
        return self.accelerator.device

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return self.accelerator.process_index

    @property
    def world(self) -> int:
        """Number of processes."""
        return self.accelerator.num_processes

    @property
    def is_main(self) -> bool:
        """True on the one rank that writes files and prints."""
        return self.accelerator.is_main_process

    def place(self, module: Module) -> Module:
        """Move a network to the device and lay its weights out as configured, in place."""
        module.to(self.device)
        if self.channels_last:
            module.to(memory_format=torch.channels_last)
        return module

    def forget_trained(self) -> None:
        """Let go of the networks and optimisers that were trained so far, and begin loss scaling anew.

        The accelerator keeps them all, unscales the gradients of them all, and has one scaler for them all.
        """
        self.accelerator.free_memory()
        if self.accelerator.scaler is not None:
            self.accelerator.scaler = torch.amp.GradScaler(self.device.type)

    def precision_of(self, cpu_bf16: bool) -> str:
        """The precision of a network; `cpu_bf16` as in `start`."""
        return _precision(self.wanted, self.device.type, cpu_bf16)

    @contextmanager
    def autocast(self, cpu_bf16: bool) -> Iterator[None]:
        """Compute in the precision of a network within the block."""
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision_of(cpu_bf16))
        with torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            yield

    def gather(self, items: list[Any]) -> list[Any]:
        """Join the lists of all ranks, in the order of the ranks; every rank gets the whole."""
        return gather_object(items) if self.world > 1 else items

    def broadcast(self, value: Any) -> Any:
        """The main rank's value, on every rank."""
        if self.world == 1:
            return value
        box = [value]
        broadcast_object_list(box)
        return box[0]

    def on_main(self, work: Callable[[], Result]) -> Result | None:
        """Do `work` on the main rank while the others wait; they get None. A UserError there is raised on all ranks."""
        result, mistake = None, None
        if self.is_main:
            try:
                result = work()
            except UserError as error:
                mistake = str(error)
        mistake = self.broadcast(mistake)
        if mistake is not None:
            raise UserError(mistake)
        return result

    def wait(self) -> None:
        """Until all ranks are here."""
        self.accelerator.wait_for_everyone()

    def average(self, tensors: list[torch.Tensor]) -> None:
        """Replace tensors of one type by their means over all ranks, in place, in one transfer."""
        if self.world > 1 and tensors:
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            torch.distributed.all_reduce(flat)
            for tensor, mean in zip(
                tensors, (flat / self.world).split([each.numel() for each in tensors]), strict=True
            ):
                tensor.copy_(mean.view_as(tensor))

    def share_buffers(self, module: nn.Module) -> None:
        """Give all ranks the main rank's buffers: each rank's norms have seen other images."""
        if self.world > 1:
            for buffer in module.buffers():
                torch.distributed.broadcast(buffer, 0)

    def describe(self) -> str:
        """Such as 'cpu (2 threads), bf16, 1 process'."""
        where = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device)
        threads = f" ({torch.get_num_threads()} threads)" if self.device.type == "cpu" else ""
        return f"{where}{threads}, {self.precision}, {self.world} process{'es' if self.world > 1 else ''}"


def start(config: RuntimeConfig, *, cpu_bf16: bool | None) -> Runtime:
    """Claim the device and set the switches of `config`.

    `cpu_bf16`: whether the model gains from bf16 on a CPU that has bf16 matrix instructions; None: some do.
    Raises UserError if the device asked for is not there.
    """
    device = _device(config.device)
    each = {_precision(config.precision, device, one) for one in ((True, False) if cpu_bf16 is None else (cpu_bf16,))}
    precision = each.pop() if len(each) == 1 else MIXED
    _set_switches(config)
    if device == "cpu":
        machine.keep_freed()
    # The accelerator's state is a singleton that keeps its device and refuses a second precision: the jobs of a sweep
    # each start afresh. The ranks of torchrun keep their connection.
    AcceleratorState._reset_state(reset_partial_state="RANK" not in os.environ)
    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision="no" if precision in ("fp32", MIXED) else precision,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    workers = min(machine.available_cores(), MAX_AUTO_WORKERS) if config.workers < 0 else config.workers
    return Runtime(accelerator, config.precision, precision, workers, config.channels_last)


def start_unscaled(config: RuntimeConfig, *, cpu_bf16: bool, what: str) -> Runtime:
    """`start` for a training without loss scaling, which on a GPU without bf16 takes fp32. `what` is trained.

    Raises UserError if fp16 was asked for.
    """
    runtime = start(config, cpu_bf16=cpu_bf16)
    if runtime.precision != "fp16":
        return runtime
    if config.precision == "fp16":
        raise UserError(f"runtime.precision=fp16: {what} trains in fp32 or bf16; choose one of them, or auto")
    return start(replace(config, precision="fp32"), cpu_bf16=cpu_bf16)


def _leave() -> None:
    """Close the ranks' connection before the interpreter ends: its threads would abort a process now and then."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


atexit.register(_leave)


@contextmanager
def full_fp32() -> Iterator[None]:
    """No TF32 within the block: figures that are compared from machine to machine are not rounded to it."""
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = cudnn


def fp32_only(config: RuntimeConfig, why: str) -> RuntimeConfig:
    """The settings for work that is done in fp32 alone. Raises UserError if another precision was asked for."""
    if config.precision not in ("auto", "fp32"):
        raise UserError(f"runtime.precision={config.precision}: {why} in fp32; leave it out")
    return replace(config, precision="fp32")


def seed_from(*parts: int) -> int:
    """A 63-bit seed that depends on all parts, such as (seed, epoch, rank)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def cpu_has_bf16() -> bool:
    """True if the CPU multiplies bf16 matrices natively (AVX512-BF16 or AMX)."""
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())


def _device(wanted: str) -> str:
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return "cuda" if present["cuda"] else "cpu"
    if not present[wanted]:
        found = ", ".join(name for name, there in present.items() if there)
        raise UserError(f"runtime.device={wanted}: no such device here; found: {found}")
    return wanted


def _precision(wanted: str, device: str, cpu_bf16: bool) -> str:
    if wanted == "fp16" and device == "cpu":
        raise UserError("runtime.precision=fp16 needs a GPU; on a CPU choose fp32 or bf16")
    if wanted != "auto":
        return wanted
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if device == "cpu" and cpu_bf16 and cpu_has_bf16() else "fp32"


def _set_switches(config: RuntimeConfig) -> None:
    torch.set_float32_matmul_precision("high" if config.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = config.tf32
    torch.backends.cudnn.benchmark = not config.deterministic
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats its results only with this
    torch.use_deterministic_algorithms(config.deterministic, warn_only=True)
    # Deterministic mode would also fill every fresh tensor; nothing here reads unwritten memory.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
