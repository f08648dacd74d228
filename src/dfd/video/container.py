"""Opening a video that nobody vouches for: three container formats, a list of codecs, one file and no other."""

import io
from dataclasses import dataclass
from typing import Any

import av

from dfd.machine import available_cores
from dfd.video.errors import UnusableVideo, in_words

# By the names of FFmpeg's readers. Playlists and lists of files (hls, dash, concat) are other readers, and not here.
FORMATS = ("mov", "matroska", "avi")
CODECS = (
    *("h264", "hevc", "vvc", "libdav1d", "av1", "vp8", "vp9", "libvpx", "libvpx-vp9"),
    *("mpeg4", "msmpeg4", "msmpeg4v2", "mpeg1video", "mpeg2video", "h263", "flv", "theora", "vc1", "wmv2", "wmv3"),
    *(
        "mjpeg",
        "png",
        "prores",
        "dnxhd",
        "ffv1",
        "huffyuv",
        "ffvhuff",
        "utvideo",
        "qtrle",
        "rawvideo",
        "dvvideo",
        "v210",
    ),
)
BUFFER = 2**20  # bytes a read
OPENING_SECONDS = 20.0
PADDING = 2**20  # pixels; codecs work on whole blocks with a border, so they need more than what is shown
MAX_THREADS = 8
HDR = {16: "PQ", 18: "HLG"}  # AVColorTransferCharacteristic


@dataclass(frozen=True)
class Facts:
    """What a video's header says of itself. `width` and `height` in pixels as they are stored, `fps` 0 if unknown."""

    format: str
    codec: str
    width: int
    height: int
    fps: float
    hdr: str


def open_video(file: io.FileIO, max_pixels: int) -> tuple[Any, Any]:
    """The container and its first stream of moving pictures, ready to decode. Raises UnusableVideo.

    A stream with more than `max_pixels` pixels a frame is not decoded, neither is one that grows beyond on its way.
    Nothing but `file` is read: a container that names other files or addresses does not get them.
    """
    limits = {"max_pixels": str(max_pixels + PADDING)}
    lists = {"format_whitelist": ",".join(FORMATS), "codec_whitelist": ",".join(CODECS), "protocol_whitelist": "none"}
    try:
        container = av.open(
            file,
            options={**limits, **lists},
            buffer_size=BUFFER,
            timeout=OPENING_SECONDS,
            metadata_errors="replace",
            io_open=_refuse,
        )
    except Exception as error:  # a reader that stumbles over a broken header may raise anything
        raise UnusableVideo(f"not a video of a known format ({in_words(error)})") from None
    stream = _moving_pictures(container)
    check_size(stream.codec_context.width, stream.codec_context.height, max_pixels)
    stream.codec_context.options = {**limits, "codec_whitelist": lists["codec_whitelist"], "err_detect": "crccheck"}
    stream.codec_context.thread_type = "AUTO"
    stream.codec_context.thread_count = min(available_cores(), MAX_THREADS)
    for other in container.streams:
        if other.index != stream.index:
            other.discard = av.stream.Discard.all
    return container, stream


def facts_of(container: Any, stream: Any) -> Facts:
    """See `Facts`."""
    context = stream.codec_context
    return Facts(
        format=str(container.format.name).split(",")[0],
        codec=str(context.name).removeprefix("lib").replace("dav1d", "av1"),
        width=int(context.width),
        height=int(context.height),
        fps=float(stream.average_rate or 0),
        hdr=HDR.get(int(context.color_trc), ""),
    )


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raises UnusableVideo for a frame that is too large."""
    if width * height > max_pixels:
        raise UnusableVideo(f"{width * height:,} pixels a frame, limit {max_pixels:,} (max_pixels)")


def _moving_pictures(container: Any) -> Any:
    pictures = [one for one in container.streams.video if not one.disposition & av.stream.Disposition.attached_pic]
    if not pictures:
        raise UnusableVideo("no video in it" + (", a cover picture alone" if container.streams.video else ""))
    for stream in pictures:
        if stream.codec_context is not None and stream.codec_context.name in CODECS:
            return stream
    raise UnusableVideo(f"its codec is not known: {', '.join(_codec_of(stream) for stream in pictures)}")


def _codec_of(stream: Any) -> str:
    return stream.codec_context.name if stream.codec_context is not None else "no decoder"


def _refuse(url: str, flags: int, options: dict[str, str]) -> None:
    raise PermissionError("it points to another file or address")
