"""What a result was obtained on, and with which command."""

import sys
from typing import Any

from dfd.config.typed import shell_word
from dfd.data.manifest import Manifest
from dfd.models.bundle import Bundle

MOST_WORDS = 100


def command_line() -> str:
    """The command that is running, as it could be typed; `front.run` has put this job's words into sys.argv.

    Of thousands of paths the first are told: each of as many pages would hold them all.
    """
    words = sys.argv[1:]
    more = f" … and {len(words) - MOST_WORDS:,} more" if len(words) > MOST_WORDS else ""
    return " ".join(["dfd", *map(shell_word, words[:MOST_WORDS])]) + more


def measured_on(bundle: Bundle, manifest: Manifest, split: str) -> dict[str, Any]:
    """The first entries of every figures file: data, split and detector, each named by its content."""
    return {
        "data": manifest.name,
        "fingerprint": manifest.fingerprint,
        "split": split,
        "bundle": bundle.name,
        "weights_sha256": bundle.sha256,
    }
