"""Readers of raw layouts, by name."""

from dfd.data.sources import demo, folder, real140k, yonsei
from dfd.data.sources.base import Raw, Source

SOURCES: dict[str, Source] = {
    "demo": demo.Demo(),
    "yonsei": yonsei.Yonsei(),
    "real140k": real140k.Real140k(),
    "folder": folder.Folder(),
}

__all__ = ["SOURCES", "Raw", "Source"]
