"""Which files are taken for videos."""

from dfd.data.discover import VIDEO_SUFFIXES, is_video

__all__ = ["VIDEO_SUFFIXES", "is_video"]
