"""The machine, and what runs the networks on it."""

from dataclasses import dataclass

from dfd.config.setting import setting

BACKENDS = ("auto", "torch", "onnxruntime", "openvino")
BACKEND_HELP = "what runs the networks; auto: the graph if the bundle is that of an export, else torch"


@dataclass
class RuntimeConfig:
    """The machine. Changes speed, not what is computed, but for the last digits."""

    device: str = setting(
        "auto", "where networks run; auto: CUDA when there is one, else CPU", choices=("auto", "cpu", "cuda", "mps")
    )
    precision: str = setting(
        "auto",
        "auto: bf16 where the machine and the model gain from it, else fp32",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    workers: int = setting(-1, "processes that decode images; -1: one a core, up to 8", low=-1, high=256)
    channels_last: bool = setting(True, "lay images out with the channels last")
    tf32: bool = setting(True, "let CUDA round fp32 matrix inputs to TF32")
    deterministic: bool = setting(
        True, "prefer operations that give the same result twice, and warn where there is none"
    )
