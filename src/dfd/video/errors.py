"""Why a video gives no frames."""


class UnusableVideo(Exception):
    """A file that gives no frames. `reason` says why in a few plain words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def in_words(error: BaseException) -> str:
    """What a library's error says, on one short line."""
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return text[:120] or type(error).__name__
