"""What a result was obtained on, and with which command."""

import shlex
import sys
from typing import Any

from dfd.data.manifest import Manifest
from dfd.models.bundle import Bundle


def command_line() -> str:
    """The command that is running, as it could be typed; `front.run` has put this job's words into sys.argv."""
    return shlex.join(["dfd", *sys.argv[1:]])


def measured_on(bundle: Bundle, manifest: Manifest, split: str) -> dict[str, Any]:
    """The first entries of every figures file: data, split and detector, each named by its content."""
    return {
        "data": manifest.name,
        "fingerprint": manifest.fingerprint,
        "split": split,
        "bundle": bundle.name,
        "weights_sha256": bundle.sha256,
    }
