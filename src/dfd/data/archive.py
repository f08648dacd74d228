"""Unpacking a .zip of images once, whole and safely."""

import glob
import hashlib
import json
import lzma
import os
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from dfd.data.discover import SUFFIXES
from dfd.errors import UserError

WANTED = SUFFIXES | {".csv"}
STAMP = ".unpacked.json"  # which archive a folder was unpacked from; hidden, so it is never taken for data
MAX_RATIO = 50  # a JPEG hardly shrinks in a .zip; far more than this is a decompression bomb


def unpack(archive: Path, into: Path) -> Path:
    """Unpack the images and CSV files of a .zip below the folder `into`, once; returns where they lie.

    They appear there all at once, when complete. Done again only if the archive's size or date changed.
    Raises UserError for an archive that is damaged, encrypted, too large, or points outside of its folder.
    """
    target = folder_of(archive, into)
    status = archive.stat()
    stamp = {"archive": str(archive.resolve()), "bytes": status.st_size, "modified": status.st_mtime_ns}
    if _read_stamp(target) == stamp:
        return target
    into.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(into, target.name)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.{os.getpid()}.", suffix=".part", dir=into))
    try:
        temporary.chmod(0o755)  # mkdtemp's folder is the owner's alone
        _extract(archive, temporary)
        (temporary / STAMP).write_text(json.dumps(stamp), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)
    except OSError as error:
        if _read_stamp(target) != stamp:  # else another process was quicker
            raise UserError(f"{archive} cannot be unpacked to {into}: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def folder_of(archive: Path, into: Path) -> Path:
    """Where an archive is unpacked to: one of its own, for some sites call all that they offer archive.zip."""
    place = hashlib.sha256(os.fsencode(archive.resolve())).hexdigest()[:8]
    return into / f"{archive.stem}-{place}"


def _extract(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as file:
            members = [member for member in file.infolist() if _wanted(member, archive)]
            _check_size(members, archive, folder)
            for member in tqdm(members, "unpacking", unit=" files", disable=None, leave=False):
                file.extract(member, folder)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, ValueError) as error:
        raise UserError(f"{archive} is damaged or not a .zip: {error}") from None


def _wanted(member: zipfile.ZipInfo, archive: Path) -> bool:
    """Whether a member is an image or a CSV file. Raises UserError for what no honest archive of images holds."""
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in "".join(name.parts[:1]):
        raise UserError(f"{archive} holds {member.filename!r}, which points outside of its folder; it is not unpacked")
    if member.is_dir() or any(part.startswith(".") for part in name.parts) or name.suffix.lower() not in WANTED:
        return False
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UserError(f"{archive} holds the link {member.filename!r}; it is not unpacked")
    if member.flag_bits & 1:
        raise UserError(f"{archive} is encrypted; unpack it yourself and name the folder with data.source")
    return True


def _check_size(members: list[zipfile.ZipInfo], archive: Path, folder: Path) -> None:
    size, packed = (sum(getattr(member, name) for member in members) for name in ("file_size", "compress_size"))
    free = shutil.disk_usage(folder).free
    if size > free:
        raise UserError(f"{archive} unpacks to {size:,} bytes, but only {free:,} are free in {folder.parent}")
    if size > 2**30 and size > MAX_RATIO * packed:
        raise UserError(f"{archive} would unpack from {packed:,} to {size:,} bytes: no images pack so well")


def _read_stamp(folder: Path) -> object:
    try:
        return json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _remove_leftovers(into: Path, name: str) -> None:
    """Remove what a killed process left half unpacked; that of one still at work stays."""
    for path in into.glob(f".{glob.escape(name)}.*.part"):
        process = path.name.removeprefix(f".{name}.").split(".")[0]
        if not (process.isdigit() and _alive(int(process))):
            shutil.rmtree(path, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
