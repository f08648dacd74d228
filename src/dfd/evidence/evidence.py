"""What a file tells besides its pixels: how it was encoded, what it went through, and who says to have made it.

Made for strangers' files: each part is guarded by itself, all texts are bounded and printable, nothing is fetched.
"""

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from PIL import Image

from dfd.data.decode import UnusableImage, open_image
from dfd.evidence import findings
from dfd.evidence.camera import Camera, camera_of
from dfd.evidence.container import Container, container_of
from dfd.evidence.credentials import Credentials, credentials_of
from dfd.evidence.finding import Finding
from dfd.evidence.history import History, history_of
from dfd.evidence.jpeg import Encoding, encoding_of, structure_of
from dfd.evidence.origin import Origin, origin_of
from dfd.evidence.text import clean

Part = TypeVar("Part")


@dataclass(frozen=True)
class Evidence:
    """The parts, None where there is nothing of the kind or it can't be read, and `findings` in words for people.

    `failed` names the parts that stumbled over the file, with the reason.
    """

    container: Container
    jpeg: Encoding | None
    history: History | None
    camera: Camera | None
    origin: Origin | None
    credentials: Credentials | None
    findings: tuple[Finding, ...]
    failed: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = asdict(self)
        if self.jpeg is not None:
            found["jpeg"].pop("luma")
        if self.history is not None:
            found["history"]["found"] = self.history.found
        return {**found, "container": {**found["container"], "misnamed": self.container.misnamed}}


def examine(data: bytes, max_pixels: int, name: str = "") -> Evidence:
    """Look into a file's content. Never raises for what the file holds; `name` is that of the file, for its suffix."""
    failed: list[str] = []

    def guarded(part: str, look: Callable[[], Part | None]) -> Part | None:
        try:
            with warnings.catch_warnings(action="ignore"):  # Pillow's, on damaged metadata
                return look()
        except Exception as error:  # a reader that stumbles over hostile content may raise anything
            reason = error.reason if isinstance(error, UnusableImage) else f"{type(error).__name__}: {error}"
            failed.append(clean(f"{part}: {reason}", 120))
            return None

    def opened() -> Image.Image:
        return open_image(data, max_pixels)

    container = guarded("container", lambda: container_of(data, name)) or Container("", "", None, 0, "", ())
    jpeg = history = None
    if container.format == "JPEG":
        jpeg = guarded("JPEG structure", lambda: encoding_of(structure_of(data)))
        if jpeg is not None:
            luma = jpeg.luma
            history = guarded("earlier compression", lambda: history_of(opened(), luma))
    camera = guarded("EXIF", lambda: camera_of(opened(), max_pixels))
    software, comment = (camera.software, camera.comment) if camera is not None else ("", "")
    origin = guarded("metadata", lambda: origin_of(opened(), software, comment))
    credentials = guarded("content credentials", lambda: credentials_of(data, container.format))
    told = findings.all_of(container, jpeg, history, camera, origin, credentials, whole=not failed)
    return Evidence(container, jpeg, history, camera, origin, credentials, told, tuple(dict.fromkeys(failed)))
