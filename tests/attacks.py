"""Hostile files, for tests of what comes in from outside: pictures, archives, tables and bundles that mean no good."""

import gzip
import hashlib
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from dfd import sealed
from dfd.ensemble import storage
from dfd.files import sha256_of
from dfd.models import bundle as bundles
from tests.images import bomb, encoded, picture

SHOWN, REFUSED = "shown", "refused"
GOOD = Image.fromarray(picture(0, 64, 64))
ODD_NAMES = ("\x1b[31mred.jpg", "line\nbreak.jpg", "=cmd|' calc'!A0.jpg", "<img src=x onerror=alert(1)>.jpg", "-rf.jpg")


def images() -> dict[str, tuple[bytes, str]]:
    """Contents by file name, and whether a picture is shown or refused. What is shown hides something beside it."""
    jpg, png = encoded(GOOD), encoded(GOOD, "PNG")
    zeros = _deflated_zeros(200)
    refused = {
        "zero-bytes.jpg": b"",
        "truncated.jpg": jpg[: len(jpg) // 2],
        "half-a-header.png": png[:20],
        "pixels-50k.png": bomb(50_000, 50_000),
        "text-bomb.png": _with_chunk(png, b"zTXt", b"k\0\0" + zeros),
        "international-text-bomb.png": _with_chunk(png, b"iTXt", b"k\0\1\0\0\0" + zeros),
        "profile-bomb.png": _with_chunk(png, b"iCCP", b"k\0\0" + zeros),
        "a-thousand-texts.png": _with_chunk(png, *(b"zTXt", b"k\0\0" + zlib.compress(bytes(900_000))) * 200),
        "canvas-64k.gif": _gif_with_canvas(65_535),
        "count-4g.tif": _tiff((256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 2**32 - 1, 8)),
        "round-and-round.tif": _tiff((256, 4, 1, 64), (257, 4, 1, 64), following=8),
        "a-million-strips.tif": _tiff(*_strips(10**6)),
        "size-2g.bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, *[0] * 6),
        "digits.ppm": b"P6\n" + b"9" * 10**6 + b" 8\n255\n",
        "promise.ppm": b"P6\n8000 8000\n255\n",
        "svg.jpg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "html.jpg": b"<html><script>alert(1)</script></html>",
        "pdf.jpg": b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>",
        "program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(written) (w) file",
        "script-as.gif": b"GIF89a/*" + bytes(10) + b"*/=1;alert(1)",
        "packed.jpg": gzip.compress(bytes(10**6)),
        "pickle.jpg": pickle.dumps(_Evil("written")),
    }
    shown = {
        "frames.gif": _many_frames(500),
        "tags-10-mb.jpg": jpg[:2]
        + (b"\xff\xe1" + struct.pack(">H", 65_535) + b"Exif\0\0" + bytes(65_527)) * 160
        + jpg[2:],
        "comments-10-mb.jpg": jpg[:2] + (b"\xff\xfe" + struct.pack(">H", 65_535) + bytes(65_533)) * 160 + jpg[2:],
        "also-a.zip.jpg": jpg + _zip({"evil.txt": b"x"}),
        "also-html.png": _with_chunk(png, b"tEXt", b"c\0<script>alert(1)</script>") + b"<html></html>",
    }
    return {
        **{name: (data, REFUSED) for name, data in refused.items()},
        **{name: (data, SHOWN) for name, data in shown.items()},
        **{name: (jpg, SHOWN) for name in ODD_NAMES},
    }


def write_images(folder: Path) -> dict[str, str]:
    """All of `images`, and what only looks like a file; name to SHOWN or REFUSED."""
    folder.mkdir(parents=True)
    made = images()
    for name, (data, _) in made.items():
        (folder / name).write_bytes(data)
    with open(os.fsencode(folder) + b"/\xff\xfe.jpg", "wb") as file:
        file.write(encoded(GOOD))
    os.mkfifo(folder / "pipe.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "round.jpg").symlink_to(folder / "round.jpg")
    (folder / "nothing.jpg").symlink_to("/nowhere")
    (folder / "loop").symlink_to(folder)
    others = dict.fromkeys(("pipe.jpg", "device.jpg", "round.jpg", "nothing.jpg"), REFUSED)
    return {**{name: fate for name, (_, fate) in made.items()}, **others, "\udcff\udcfe.jpg": SHOWN}


NAMES_OUTSIDE = (
    "../evil.jpg",
    "/tmp/dfd-evil.jpg",
    "a/../../evil.jpg",
    "C:/evil.jpg",
    "..\\evil.jpg",
    "\\\\host\\evil.jpg",
)


def zips() -> dict[str, bytes]:
    """Archives that must not be unpacked."""
    good = encoded(GOOD)
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    return {
        **{f"outside {number}": _zip({name: good}) for number, name in enumerate(NAMES_OUTSIDE)},
        "link": _zip({link: b"/etc/passwd"}),
        "bomb": _zip_that_claims(2**31),
        "folders 3000 deep": _zip({"a/" * 3000 + "a.jpg": good}),
        "a file as folder": _zip({"a.jpg": good, "a.jpg/b.jpg": good}),
        "name of 300 letters": _zip({"a" * 300 + ".jpg": good}),
        "no text for a name": _zip({"aaaa.jpg": good}, utf8=True).replace(b"aaaa.jpg", b"\xff\xff\xff\xff.jpg"),
        "broken lzma": _broken(zipfile.ZIP_LZMA),
        "broken bzip2": _broken(zipfile.ZIP_BZIP2),
        "broken deflate": _broken(zipfile.ZIP_DEFLATED),
        "empty": b"",
        "no zip": b"PK\x03\x04" + bytes(100),
    }


def write_tar(path: Path) -> Path:
    """A shard with one good picture among links, devices and names that lead outside."""
    with tarfile.open(path, "w") as archive:
        for name in ("good.jpg", *NAMES_OUTSIDE[:3]):
            _add(archive, name, encoded(GOOD))
        for name, kind, target in (
            ("link.jpg", tarfile.SYMTYPE, "/etc/passwd"),
            ("hard.jpg", tarfile.LNKTYPE, "../../etc/passwd"),
            ("device.jpg", tarfile.CHRTYPE, ""),
            ("pipe.jpg", tarfile.FIFOTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
        _add(archive, "zero.jpg", b"")
    return path


BundleAttack = Callable[[Path], None]


def on_detectors() -> dict[str, BundleAttack]:
    """Changes to the folder of a detector's bundle. Checksums are set right again: whoever made it can do that too."""
    tensor = {"w": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4 * 10**18]}}
    return {
        "yaml tag": lambda at: _sign(at, _body(at) + 'extra: !!python/object/apply:os.mkdir ["written"]\n'),
        "yaml of a list": lambda at: _sign(at, "- 1\n"),
        "yaml of nothing": lambda at: _sign(at, "\n"),
        "yaml 20000 deep": lambda at: _sign(at, "[" * 20_000),
        "yaml that explodes": lambda at: _sign(at, _laughs() + _body(at).replace("name: tiny\n", "name: *i\n", 1)),
        "no text": lambda at: (at / bundles.FILE).write_bytes(b"\xff\xfe"),
        "weights are a pickle": _weights(pickle.dumps(_Evil("written"))),
        "weights are a torch file": _weights(_zip({"archive/data.pkl": pickle.dumps(_Evil("written"))})),
        "weights are empty": _weights(b""),
        "weights with a header of 1 PB": _weights((10**15).to_bytes(8, "little") + b"{}"),
        "weights with a huge tensor": _weights(
            len(json.dumps(tensor)).to_bytes(8, "little") + json.dumps(tensor).encode()
        ),
        "network from the hub": _card(lambda card: card["model"].update(backbone="hf-hub:evil/model")),
        "network from a folder": _card(lambda card: card["model"].update(backbone="local-dir:/etc")),
        "network that is a list": _card(lambda card: card["model"].update(backbone=["x"])),
        "network of a billion channels": _card(
            lambda card: card["model"].update(backbone="gan_discriminator-r64-b1000000000-m1000000000-g4-both")
        ),
        "inputs of a billion pixels": _card(lambda card: card["preprocessing"].update(size=10**9)),
        "inputs of half a pixel": _card(lambda card: card["preprocessing"].update(size=32.5)),
        "colours of two": _card(lambda card: card["preprocessing"].update(mean=[0.5, 0.5])),
        "colours that are no numbers": _card(lambda card: card["preprocessing"].update(std=[0.5, 0.5, float("nan")])),
        "no pixels": _card(lambda card: card.update(max_pixels=-5)),
        "name that leads outside": _card(lambda card: card.update(name="../../evil")),
        "name with escape codes": _card(lambda card: card.update(name="\x1b[31mred\n")),
        "files elsewhere": _card(lambda card: card["files"].update({"../../secret": "0" * 64})),
        "file is a device": _card(lambda card: card["files"].update({"/dev/zero": "0" * 64})),
    }


def on_ensembles() -> dict[str, BundleAttack]:
    """As `on_detectors`, to the folder of an ensemble with a stack of scores."""
    return {
        "members elsewhere": _member_link,
        "no members": _card(lambda card: card.update(members=[])),
        "combiner 200000 deep": _combiner("[" * 200_000),
        "combiner without end": _combiner('{"kind": "majority", "size": 1e400}'),
        "combiner of others": _combiner('{"kind": "majority", "size": 7}'),
        "combiner of no numbers": _combiner('{"kind": "mean", "size": 2, "weights": [NaN, NaN], "space": "logit"}'),
        "estimator is a pickle": _estimator(pickle.dumps(_Evil("written"))),
        "estimator of unsafe types": _estimator(_zip({"schema.json": json.dumps(_unsafe_schema()).encode()})),
        "estimator 100000 deep": _estimator(_zip({"schema.json": b'{"content":' * 100_000 + b"1" + b"}" * 100_000})),
        "estimator that unpacks to 2 GB": _estimator(_zip_that_claims(2**31, "schema.json")),
        "arrays are a pickle": _file(storage.ARRAYS, pickle.dumps(_Evil("written"))),
    }


def on_manifests() -> dict[str, Callable[[Path], None]]:
    """Changes to the folder of a manifest."""

    def header(**values: Any) -> Callable[[Path], None]:
        def change(at: Path) -> None:
            card = json.loads((at / "manifest.json").read_text())
            (at / "manifest.json").write_text(json.dumps({**card, **values}))

        return change

    def table(column: str, value: object) -> Callable[[Path], None]:
        def change(at: Path) -> None:
            rows = pd.read_parquet(at / "manifest.parquet")
            rows[column] = pd.Series([value] * len(rows))
            rows.to_parquet(at / "manifest.parquet")

        return change

    return {
        "name that leads outside": header(name="../../../evil"),
        "name that is no text": header(name=["x"]),
        "root that is no path": header(root=7),
        "header 100000 deep": lambda at: (at / "manifest.json").write_text("[" * 100_000),
        "paths that are numbers": table("path", 7),
        "paths that are lists": table("path", ["a"] * 1000),
        "labels that are texts": table("label", "fake"),
        "labels of a third kind": table("label", 2),
        "hashes that are lists": table("sha256", [1, 2]),
        "no table": lambda at: (at / "manifest.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1"),
    }


class _Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


def _deflated_zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(10**6)) for _ in range(megabytes)) + packer.flush()


def _with_chunk(png: bytes, *chunks: bytes) -> bytes:
    """Kinds and contents, one after the other, behind the header."""
    made = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in zip(chunks[::2], chunks[1::2], strict=True)
    )
    return png[:33] + made + png[33:]


def _many_frames(count: int) -> bytes:
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 255, (8, 8)).astype(np.uint8)) for _ in range(count)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def _gif_with_canvas(side: int) -> bytes:
    made = bytearray(encoded(Image.new("P", (1, 1)), "GIF"))
    made[6:10] = struct.pack("<HH", side, side)
    return bytes(made)


def _tiff(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + struct.pack("<I", following)


def _strips(count: int) -> list[tuple[int, int, int, int]]:
    sizes = [(256, 4, 1, 30_000), (257, 4, 1, 2_000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    return [*sizes, (273, 4, count, 8), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, count, 8)]


def _zip(members: dict[Any, bytes], utf8: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            archive.writestr(info, data)
    made = buffer.getvalue()
    if utf8:  # the flag that says so, in both headers
        made = made.replace(b"PK\x03\x04\x14\0\0\0", b"PK\x03\x04\x14\0\0\x08")
        made = made.replace(b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\0\x08")
    return made


def _zip_that_claims(size: int, name: str = "a.jpg") -> bytes:
    made = bytearray(_zip({name: bytes(1000)}))
    place = made.index(b"PK\x01\x02") + 24
    made[place : place + 4] = struct.pack("<I", size)
    return bytes(made)


def _broken(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a.jpg", encoded(picture(1, 200, 200)))
    made = bytearray(buffer.getvalue())
    made[60:200] = bytes(140) if method != zipfile.ZIP_DEFLATED else b"\xff" * 140
    return bytes(made)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _body(at: Path) -> str:
    return (at / bundles.FILE).read_text().rpartition(sealed.CHECKSUM)[0]


def _sign(at: Path, text: str) -> None:
    digest = hashlib.sha256(text.encode()).hexdigest()
    (at / bundles.FILE).write_text(f"{text}{sealed.CHECKSUM}{digest}\n")


def _card(change: Callable[[dict[str, Any]], Any]) -> BundleAttack:
    def attack(at: Path) -> None:
        card = yaml.safe_load(_body(at))
        change(card)
        _sign(at, yaml.safe_dump(card, sort_keys=False))

    return attack


def _file(name: str, data: bytes) -> BundleAttack:
    def attack(at: Path) -> None:
        (at / name).write_bytes(data)
        _card(lambda card: card["files"].update({name: sha256_of(at / name)}))(at)

    return attack


def _weights(data: bytes) -> BundleAttack:
    return _file(bundles.WEIGHTS, data)


def _combiner(text: str) -> BundleAttack:
    return _file(storage.CARD, text.encode())


def _estimator(data: bytes) -> BundleAttack:
    return _file(storage.ESTIMATOR, data)


def _member_link(at: Path) -> None:
    place = at / bundles.MEMBERS / "0"
    shutil.rmtree(place)
    place.symlink_to(at / bundles.MEMBERS / "1")


def _unsafe_schema() -> dict[str, Any]:
    """What skops would make a call to os.mkdir of."""
    return {
        "__class__": "mkdir",
        "__module__": "posix",
        "__loader__": "FunctionNode",
        "content": {"module_path": "posix", "function": "mkdir"},
        "__id__": 1,
        "protocol": 2,
        "_skops_version": "0.10",
    }


def _laughs() -> str:
    """Lists of ten of the list before: a billion x in 400 letters."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]\n"]
    lines += [
        f"{one}: &{one} [{','.join(['*' + before] * 10)}]\n" for before, one in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    return "".join(lines)
