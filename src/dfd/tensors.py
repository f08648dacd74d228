"""Weights and other tensors in files of safetensors: no pickle."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dfd.errors import UserError
from dfd.files import replacing


def save(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors of any device by their names, atomically."""
    with replacing(path) as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary)


def load(path: Path) -> dict[str, torch.Tensor]:
    """Read what `save` wrote. Raises UserError if it is damaged, and FileNotFoundError if it is not there.

    They are copies: in the file tensors lie unaligned, and kernels for such memory round otherwise in the last digit.
    """
    try:
        return {name: value.clone() for name, value in load_file(path).items()}
    except SafetensorError as error:
        raise UserError(f"{path} is no safetensors file: {error!s}") from None
