from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from dfd.errors import UserError
from dfd.video.faces import MARGIN, Box, FaceCrops, YuNet, overlap, square_around
from tests.video.yunet import write_spot_finder

sides = st.floats(0.5, 500)
boxes = st.builds(Box, st.floats(-300, 500), st.floats(-300, 500), sides, sides)
sizes = st.integers(1, 400)


@given(boxes, sizes, sizes)
def test_the_square_lies_within_the_frame_and_around_the_face(face: Box, width: int, height: int) -> None:
    square = square_around(face, width, height)
    assert all(isinstance(side, int) for side in square)
    assert square.width == square.height >= 1
    assert 0 <= square.x <= width - square.width and 0 <= square.y <= height - square.height
    inside = min(face.x, face.y) >= 0 and face.x + face.width <= width and face.y + face.height <= height
    if inside and MARGIN * max(face.width, face.height) + 1 <= min(width, height):
        assert square.x <= face.x + 1 and face.x + face.width <= square.x + square.width + 1
        assert square.y <= face.y + 1 and face.y + face.height <= square.y + square.height + 1


@given(boxes, boxes)
def test_overlap_is_a_share_that_both_agree_on(one: Box, other: Box) -> None:
    assert 0 <= overlap(one, other) <= 1 + 1e-9
    assert overlap(one, other) == pytest.approx(overlap(other, one))
    assert overlap(one, one) == pytest.approx(1)


def test_overlap_of_known_boxes() -> None:
    assert overlap(Box(0, 0, 10, 10), Box(5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert overlap(Box(0, 0, 10, 10), Box(10, 0, 10, 10)) == 0


def told(*moments: list[Box]) -> FaceCrops:
    answers = iter(moments)
    return FaceCrops(lambda _: next(answers))


FRAME = np.zeros((200, 300, 3), np.uint8)


def test_the_largest_face_counts_and_its_pixels_are_those_of_its_square() -> None:
    frame = FRAME.copy()
    frame[100:150, 100:150] = 255
    found = told([Box(5, 5, 20, 20), Box(105, 105, 40, 40)])(frame, 0.0)
    assert found is not None
    pixels, box = found
    assert box == Box(99, 99, 52, 52) and pixels.shape == (52, 52, 3)
    assert (pixels[1:51, 1:51] == 255).all() and (pixels[0] == 0).all()


def test_a_face_that_stays_is_held_still_and_one_elsewhere_or_later_is_not() -> None:
    near = [[Box(100, 100, 40, 40)], [Box(108, 100, 40, 40)]]
    crops = told(*near)
    assert [crops(FRAME, time)[1].x for time in (0.0, 0.5)] == [94, 98]
    crops = told(*near)
    assert [crops(FRAME, time)[1].x for time in (0.0, 10.0)] == [94, 102]
    crops = told([Box(100, 100, 40, 40)], [Box(10, 10, 40, 40)])
    assert [crops(FRAME, time)[1].x for time in (0.0, 0.5)] == [94, 4]
    crops = told(near[0], [], near[1])
    found = [crops(FRAME, time) for time in (0.0, 0.1, 0.2)]
    assert found[1] is None and found[2][1].x == 102


@pytest.mark.parametrize("scale", [1, 3])
def test_opencv_finds_what_the_network_says_in_pixels_of_the_frame(tmp_path: Path, scale: int) -> None:
    finder = YuNet(write_spot_finder(tmp_path / "spots.onnx"))
    frame = np.zeros((320 * scale, 640 * scale, 3), np.uint8)
    assert finder(frame) == []
    frame[160 * scale : 176 * scale, 320 * scale : 336 * scale] = 255
    (box,) = finder(frame)
    assert np.array(box) / scale == pytest.approx([304, 144, 32, 32], abs=8)


def other_network(path: Path) -> Path:
    shape = [1, 3, 8, 8]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("input", "output")]
    graph = helper.make_graph([helper.make_node("Relu", ["input"], ["output"])], "other", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize("kind", ["missing", "text", "empty", "other"])
def test_what_is_no_face_detector_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "faces.onnx"
    if kind == "text":
        path.write_text("hello")
    elif kind == "empty":
        path.touch()
    elif kind == "other":
        other_network(path)
    with pytest.raises(UserError, match="video.faces=.*faces.onnx.*(no such file|no YuNet model)"):
        YuNet(path)
