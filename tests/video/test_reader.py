"""From files to frames: the right ones, at the right times, as a player shows them; and what comes of bad files."""

import json
import os
import signal
from pathlib import Path

import av
import numpy as np
import pytest

from dfd.video import reader
from dfd.video.errors import UnusableVideo
from dfd.video.reader import Frame, read_video
from dfd.video.wire import Reading, understand
from tests.video.clips import (
    HEIGHT,
    RATE,
    WIDTH,
    halves,
    number_of,
    number_picture,
    trim,
    turn,
    write_clip,
    write_sound,
)

ALL = Reading(frames=100, scenes=False, seconds=60.0, max_pixels=10**6)


def read(path: Path, reading: Reading = ALL) -> tuple[dict, list[Frame], list[str]]:
    with read_video(path, reading) as clip:
        return clip.facts, list(clip.frames), clip.notes


def asking(**what: object) -> Reading:
    return Reading(**{**vars(ALL), **what})


KINDS = [
    ("h264.mp4", "libx264", {}),
    ("b-frames.avi", "libx264", {}),
    ("mpeg4.avi", "mpeg4", {}),
    ("h264.mkv", "libx264", {}),
    ("open-gop.mkv", "libx264", {"options": {"x264-params": "open-gop=1:bframes=3"}}),
    ("vp9.webm", "libvpx-vp9", {"options": {"deadline": "realtime", "cpu-used": "8"}}),
    ("hevc.mov", "libx265", {"options": {"x265-params": "log-level=none"}}),
    ("ten-bit.mp4", "libx264", {"pix_fmt": "yuv420p10le"}),
    ("lossless.mkv", "ffv1", {"pix_fmt": "yuv444p"}),
    ("stills.m4v", "mjpeg", {"pix_fmt": "yuvj420p", "container": "mp4"}),
]


@pytest.mark.parametrize(("name", "codec", "more"), KINDS, ids=[kind[0] for kind in KINDS])
def test_each_frame_that_is_looked_at_is_the_one_it_says_to_be(
    tmp_path: Path, name: str, codec: str, more: dict
) -> None:
    path = write_clip(tmp_path / name, codec=codec, **more)
    for n in (7, 100):
        facts, frames, notes = read(path, asking(frames=n))
        assert facts["frames"] == 60 and len(frames) == min(n, 60) and notes == []
        assert [number_of(frame.pixels) for frame in frames] == [frame.number for frame in frames]
        assert [frame.time for frame in frames] == pytest.approx([frame.number / RATE for frame in frames], abs=0.001)


def test_seven_of_sixty_frames_are_the_middles_of_seven_equal_parts(tmp_path: Path) -> None:
    _, frames, _ = read(write_clip(tmp_path / "a.mp4"), asking(frames=7))
    assert [frame.number for frame in frames] == [4, 12, 21, 30, 38, 47, 55]


def test_frames_of_different_lengths_are_found_by_their_time(tmp_path: Path) -> None:
    pts = [0, 1, 2, 3, 50, 51, 52, 53, 150]  # the still at 53 is on show for four seconds
    facts, frames, _ = read(write_clip(tmp_path / "a.mp4", pts=pts), asking(frames=3))
    assert [frame.number for frame in frames] == [3, 7]
    assert [frame.time for frame in frames] == pytest.approx([3 / RATE, 53 / RATE])
    assert facts["duration"] == pytest.approx(151 / RATE, abs=0.05)


def test_a_start_later_than_zero_is_where_players_count_from(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", pts=range(250, 270), codec="mpeg4")
    assert read(path)[1][0].time == 0.0


@pytest.mark.parametrize(
    ("matrix", "top"),
    [
        ((1, 0, 0, 1), "red"),
        ((-1, 0, 0, -1), "blue"),
        ((0, 1, -1, 0), "right"),
        ((0, -1, 1, 0), "left"),
        ((1, 0, 0, -1), "blue"),
    ],
)
def test_frames_come_upright(tmp_path: Path, matrix: tuple[int, ...], top: str) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=2, paint=halves)
    turn(path, matrix)
    pixels = read(path)[1][0].pixels
    red = pixels[..., 0] > 100
    there = {"red": red[0], "blue": red[-1], "right": red[:, -1], "left": red[:, 0]}
    assert pixels.shape[:2] == ((HEIGHT, WIDTH) if top in ("red", "blue") else (WIDTH, HEIGHT))
    assert there[top].all() and red.mean() == pytest.approx(0.5)


@pytest.mark.parametrize(("space", "level"), [(1, "ITU709"), (5, "ITU601")])
def test_colours_are_those_of_the_matrix_that_the_file_names(tmp_path: Path, space: int, level: str) -> None:
    def yuv(_: int) -> np.ndarray:  # the yuv420p of pure green at half light differs by matrix
        frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), (20, 160, 60), np.uint8))
        return frame.reformat(format="yuv420p", dst_colorspace=level).to_ndarray()

    def paint(number: int) -> np.ndarray:
        return yuv(number)

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, 1
        frame = av.VideoFrame.from_ndarray(paint(0), format="yuv420p")
        frame.pts, frame.colorspace, frame.color_range = 0, space, 1
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    pixels = read(path)[1][0].pixels
    assert np.abs(pixels.reshape(-1, 3).mean(axis=0) - (20, 160, 60)).max() < 3


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    def paint(_: int) -> np.ndarray:
        picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        picture[:, : WIDTH // 2] = (255, 0, 0, 0)  # argb: opaque black
        return picture

    path = write_clip(tmp_path / "a.mov", frames=2, codec="qtrle", pix_fmt="argb", paint=paint, source="argb")
    pixels = read(path)[1][0].pixels
    assert (pixels[:, : WIDTH // 2] == 0).all() and (pixels[:, WIDTH // 2 :] == 255).all()


def test_odd_sizes_are_kept(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", 3, "ffv1", lambda n: number_picture(n, 51, 72)[:, :67], pix_fmt="yuv444p")
    assert read(path)[1][0].pixels.shape == (51, 67, 3)


def test_long_pixels_are_shown_long(tmp_path: Path) -> None:
    from fractions import Fraction

    path = write_clip(tmp_path / "a.mp4", frames=2, sample_aspect_ratio=Fraction(3, 2))
    assert read(path)[1][0].pixels.shape == (HEIGHT, WIDTH * 3 // 2, 3)


def test_hdr_is_said(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "a.mp4", frames=3, pix_fmt="yuv420p10le", color_trc=16, color_primaries=9, colorspace=9
    )
    facts, frames, notes = read(path)
    assert facts["hdr"] == "PQ" and frames[0].pixels.dtype == np.uint8
    assert notes == ["HDR (PQ): tone mapping is not done, the frames come out flat"]


def scenes(number: int) -> np.ndarray:
    """Three scenes in which something moves, at 0, 25 and 40."""
    rng = np.random.default_rng(np.searchsorted([25, 40], number, side="right"))
    coarse = rng.integers(0, 255, (6, 8, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    return np.roll(coarse, number // 4, axis=1)


def test_the_first_frame_of_each_scene_is_looked_at_as_well(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", paint=scenes)
    _, frames, _ = read(path, asking(frames=4, scenes=True))
    assert [frame.number for frame in frames if frame.scene] == [25, 40]
    assert [frame.number for frame in frames if not frame.scene] == [7, 22, 37, 52]


def test_the_number_of_scenes_is_bounded(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", paint=scenes)
    _, frames, _ = read(path, asking(frames=1, scenes=True))
    assert len(frames) == 2


def test_a_file_that_was_cut_short_gives_what_is_there(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", container="mp4", paint=scenes)
    whole = path.read_bytes()
    early = write_clip(tmp_path / "fast.mkv", paint=scenes).read_bytes()
    (tmp_path / "fast.mkv").write_bytes(early[: len(early) // 2])
    facts, frames, _ = read(tmp_path / "fast.mkv")
    assert 10 < len(frames) < 50 and 10 < facts["frames"] < 50
    path.write_bytes(whole[: len(whole) // 2])  # the index of this one lies at its end
    with pytest.raises(UnusableVideo, match="not a video of a known format"):
        read(path)


def test_a_promise_that_is_not_kept_is_said(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.avi", codec="mjpeg", pix_fmt="yuvj420p", paint=scenes)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    facts, frames, notes = read(path)
    assert facts["promised"] == 60 > facts["frames"] > 10
    assert notes == [f"cut short: {facts['frames']} of the 60 frames that it promises are in it"]


@pytest.mark.parametrize("first", [3, 18, 40])
def test_a_trimmed_video_is_whole_and_begins_where_it_was_trimmed(tmp_path: Path, first: int) -> None:
    path = write_clip(tmp_path / "a.mp4", gop=8)
    trim(path, first, 15)
    facts, frames, notes = read(path)
    assert facts["frames"] == 15 and notes == []
    assert [frame.error for frame in frames] == [None] * 15
    assert [number_of(frame.pixels) for frame in frames] == list(range(first, first + 15))


def test_a_trimmed_video_that_is_cut_short_says_so(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", paint=scenes, muxing={"movflags": "faststart"})
    trim(path, 5, 50)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    facts, _, notes = read(path)
    assert facts["frames"] < 50
    assert notes == [f"cut short: {facts['frames']} of the {facts['promised']} frames that it promises are in it"]


def test_damage_costs_the_frames_up_to_the_next_key_frame(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", codec="mpeg4", paint=scenes, gop=10)
    with av.open(str(path)) as file:
        packets = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    at, size = packets[33]
    data[at + 10 : at + size - 4] = b"\xa5" * (size - 14)
    path.write_bytes(data)
    _, frames, _ = read(path)
    assert [frame.number for frame in frames if frame.error == "damaged"] == list(range(33, 40))
    assert len(frames) == 60 and all(frame.pixels is not None for frame in frames if not frame.error)


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=2)
    with pytest.raises(UnusableVideo, match=r"3,072 pixels a frame, limit 3,071 \(max_pixels\)"):
        read(path, asking(max_pixels=WIDTH * HEIGHT - 1))
    assert len(read(path, asking(max_pixels=WIDTH * HEIGHT))[1]) == 2


def test_what_is_no_video_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("hello" * 100)
    (tmp_path / "zeros.avi").write_bytes(bytes(10_000))
    os.mkfifo(tmp_path / "fifo.mp4")
    os.symlink("/dev/zero", tmp_path / "zero.mp4")
    os.symlink("/nowhere", tmp_path / "link.mp4")
    (tmp_path / "folder.mp4").mkdir()
    write_sound(tmp_path / "sound.mp4")
    reasons = {}
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(UnusableVideo) as caught:
            read(path)
        reasons[path.name] = caught.value.reason
    assert reasons == {
        "empty.mp4": "empty file",
        "fifo.mp4": "not a regular file",
        "folder.mp4": "a folder",
        "link.mp4": "a link to nothing",
        "sound.mp4": "no video in it",
        "text.mp4": "not a video of a known format (Invalid data found when processing input)",
        "zero.mp4": "not a regular file",
        "zeros.avi": "not a video of a known format (Invalid data found when processing input)",
    }


def hostile(folder: Path) -> dict[str, bytes]:
    """Files that would make FFmpeg read another file or go to the network."""
    url, local = "http://127.0.0.1:9/x", folder / "other.mp4"
    return {
        "hls.mp4": f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.0,\n{url}\n#EXT-X-ENDLIST\n".encode(),
        "hls-file.mov": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{local}\n#EXT-X-ENDLIST\n".encode(),
        "concat.mkv": f"ffconcat version 1.0\nfile '{local}'\n".encode(),
        "dash.mp4": f"<?xml version='1.0'?><MPD><Period><BaseURL>{url}</BaseURL></Period></MPD>".encode(),
        "sdp.avi": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "concat-protocol.mp4": f"concat:{local}|{local}".encode(),
    }


def test_no_file_makes_it_read_another_one_or_the_network(tmp_path: Path) -> None:
    other = write_clip(tmp_path / "other.mp4", frames=3)
    for name, content in hostile(tmp_path).items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnusableVideo, match="not a video of a known format"):
            read(tmp_path / name)
    assert len(read(other)[1]) == 3


def test_frames_that_lie_in_another_file_are_not_fetched(tmp_path: Path) -> None:
    """An .mp4 may keep its index in one file and its frames in another, named by a data reference."""
    path = write_clip(tmp_path / "a.mp4", frames=10)
    data = path.read_bytes()
    (tmp_path / "other").write_bytes(data)
    entry = b"\x00\x00\x00\x0curl \x00\x00\x00\x01"  # 'the frames are in this file'
    assert data.count(entry) == 1
    path.write_bytes(data.replace(entry, b"\x00\x00\x00\x0curl \x00\x00\x00\x00"))
    try:
        _, frames, _ = read(path)
    except UnusableVideo:
        return
    assert all(frame.pixels is None or number_of(frame.pixels) == frame.number for frame in frames)


def test_a_decoder_that_crashes_costs_only_what_was_to_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mkv", 8, "ffv1", lambda n: number_picture(n, 480, 640), pix_fmt="yuv444p")
    started: list = []
    popen = reader.subprocess.Popen
    monkeypatch.setattr(reader.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    with read_video(path, ALL) as clip:
        first = next(clip.frames)
        started[0].send_signal(signal.SIGSEGV)
        rest = list(clip.frames)
    assert number_of(first.pixels) == 0 and [frame.number for frame in rest] == list(range(1, 8))
    assert [frame.time for frame in rest] == pytest.approx([n / RATE for n in range(1, 8)], abs=0.001)
    missing = [frame for frame in rest if frame.pixels is None]
    assert missing == rest[-len(missing) :] and {frame.error for frame in missing} == {
        "the decoder crashed (signal 11)"
    }
    assert clip.notes == ["the decoder crashed (signal 11): what came later is missing"]


def test_a_decoder_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=3)
    monkeypatch.setattr(reader, "GRACE", 0.0)
    monkeypatch.setattr(reader.sys, "executable", str(tmp_path / "slow"))
    (tmp_path / "slow").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "slow").chmod(0o755)
    with pytest.raises(UnusableVideo, match="the decoder hung, and was stopped"):
        read(path, asking(seconds=0.2))


@pytest.mark.parametrize(
    "answer",
    ["not json", '{"kind": "facts", "bytes": -1}', '{"kind": "facts", "bytes": 99999999999}', "[1]", "x" * 10**6],
)
def test_a_decoder_that_talks_nonsense_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=3)
    answer_with(tmp_path, monkeypatch, answer.encode() + b"\n")
    with pytest.raises(UnusableVideo):
        read(path)


def answer_with(folder: Path, monkeypatch: pytest.MonkeyPatch, words: bytes, then: str = "exit 0") -> None:
    """Have something else in the decoder's place."""
    (folder / "words").write_bytes(words)
    monkeypatch.setattr(reader.sys, "executable", str(folder / "liar"))
    (folder / "liar").write_text(f"#!/bin/sh\ncat {folder / 'words'}\n{then}\n")
    (folder / "liar").chmod(0o755)


FACTS = {
    **{"kind": "facts", "format": "mov", "codec": "h264", "hdr": "", "whole": True, "fps": 25.0, "duration": 2.4},
    **{"width": 64, "height": 48, "frames": 60, "promised": 60, "bytes": 0},
}
PIXEL = {"kind": "frame", "height": 1, "width": 1, "bytes": 3}
END = {"kind": "end", "bytes": 0}


def wanted(*numbers: int) -> list[dict]:
    about = [{"kind": "wanted", "frame": n, "time": n / RATE, "scene": False, "bytes": 0} for n in numbers]
    return [*about, {"kind": "decoding", "searched": True, "bytes": 0}]


def lines(*messages: dict) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" + b"rgb"[: message["bytes"]] for message in messages)


def test_a_decoder_that_hangs_on_the_way_leaves_failed_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=3)
    monkeypatch.setattr(reader, "GRACE", 0.0)
    answer_with(tmp_path, monkeypatch, lines(FACTS, *wanted(0, 1, 2), {**PIXEL, "frame": 0}), "exec sleep 60")
    _, frames, notes = read(path, asking(seconds=1.0))
    assert [frame.number for frame in frames] == [0, 1, 2] and frames[0].pixels is not None
    assert [frame.error for frame in frames] == [None, *["the decoder hung, and was stopped"] * 2]
    assert notes == ["the decoder hung, and was stopped: what came later is missing"]


@pytest.mark.parametrize("told", [[{**PIXEL, "frame": 7}], [{**PIXEL, "frame": 0}] * 2, [{**PIXEL, "frame": 0}, END]])
def test_frames_other_than_those_announced_are_nonsense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[dict]
) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=3)
    answer_with(tmp_path, monkeypatch, lines(FACTS, *wanted(0, 1), *told))
    _, frames, _ = read(path)
    assert [frame.number for frame in frames] == [0, 1] and frames[1].error == reader.NONSENSE


@pytest.mark.parametrize("numbers", [range(5), (1, 1), (2, 1)])
def test_too_many_frames_or_the_same_twice_are_nonsense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, ...]
) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=3)
    answer_with(tmp_path, monkeypatch, lines(FACTS, *wanted(*numbers)))
    with pytest.raises(UnusableVideo, match=reader.NONSENSE):
        read(path, asking(frames=2))


def test_a_decoder_that_crashes_before_the_first_frame_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=3)
    answer_with(tmp_path, monkeypatch, lines(FACTS, *wanted(0, 1)[:1]), "kill -SEGV $$")
    with pytest.raises(UnusableVideo, match="the decoder crashed"):
        read(path)


@pytest.mark.parametrize(
    "message",
    [
        {**PIXEL, "frame": 0, "bytes": -3, "width": -1},
        {**PIXEL, "frame": 0, "bytes": 3, "width": -1, "height": -1},
        {**PIXEL, "frame": 0, "bytes": 0, "width": 0},
        {**PIXEL, "frame": 0, "bytes": 4},
        {**PIXEL, "frame": 2**70},
        {**PIXEL, "frame": -1},
        {**FACTS, "width": -1},
        {**END, "bytes": 3},
    ],
)
def test_sizes_and_numbers_of_no_frame_are_not_understood(message: dict) -> None:
    whole = {"time": 0.0, "scene": False, "searched": True, **message}
    assert understand(json.dumps(whole).encode(), 100) is None


def test_sizes_and_numbers_of_a_frame_are_understood() -> None:
    message = {**PIXEL, "frame": 2**53 - 1}
    assert understand(json.dumps(message).encode(), 3) == message
    assert understand(json.dumps(message).encode(), 2) is None
    assert understand(b"[" * 60_000, 3) is None


def test_when_the_time_is_over_what_was_decoded_counts(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=60)
    facts, frames, notes = read(path, asking(seconds=0.0))
    assert facts["frames"] < 60 and not facts["whole"]
    assert all(frame.error == "not decoded in time" for frame in frames)
    assert any("too long for its time" in note for note in notes)
