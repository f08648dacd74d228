"""What programs see of the server."""

import base64
import json
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from dfd.cards.card import make_card
from dfd.config import RuntimeConfig
from dfd.data.dataset import image_tensor
from dfd.data.decode import read_image
from dfd.inference.engine import TorchEngine
from dfd.models.bundle import load
from dfd.runtime import start
from tests.serving.running import Running, form, png


@pytest.fixture(scope="module")
def engine(bundle_folder: Path) -> TorchEngine:
    runtime = start(RuntimeConfig(device="cpu", precision="fp32"), cpu_bf16=False)
    return TorchEngine(load(bundle_folder), runtime)


def logit_of(engine: TorchEngine, data: bytes) -> float:
    with torch.inference_mode():
        values = engine(image_tensor(engine.joint(read_image(data, 10**6)))[None]).numpy()
    return float(engine.logits(values)[0])


def as_json(*files: bytes, **more: object) -> dict:
    images = [{"name": f"{number}.png", "data": base64.b64encode(data).decode()} for number, data in enumerate(files)]
    return {"images": images, **more}


def test_answers_are_those_of_the_bundle_however_the_pictures_are_sent(served: Running, engine: TorchEngine) -> None:
    files = [png(seed, (30 + 7 * seed, 50)) for seed in range(5)]
    wanted = [logit_of(engine, data) for data in files]
    sent = served.client.post("/v1/predict", files=form(*files))
    coded = served.client.post("/v1/predict", json=as_json(*files))
    for answer in (sent, coded):
        assert answer.status_code == 200
        rows = answer.json()["results"]
        assert [row["name"] for row in rows] == [f"{number}.png" for number in range(5)]
        assert [row["logit"] for row in rows] == pytest.approx(wanted, abs=1e-4)
        own = engine.bundle.calibration
        assert [row["prob"] for row in rows] == pytest.approx(list(own.prob(wanted)), abs=1e-5)
        assert [row["verdict"] for row in rows] == list(own.verdict([row["prob"] for row in rows]))
        assert [member["name"] for member in rows[0]["members"]] == ["first", "second"]
    assert sent.json()["bundle"]["sha256"] == engine.bundle.sha256


def test_one_bad_picture_among_good_ones_is_a_row_with_a_reason(served: Running) -> None:
    answer = served.client.post("/v1/predict", files=form(png(), b"hello", png(1)[:300], b""))
    assert answer.status_code == 200
    errors = [row["error"] for row in answer.json()["results"]]
    assert errors == [None, "not an image", "truncated", "empty file"]
    assert answer.json()["results"][1]["prob"] is None


def test_no_usable_picture_is_422_with_the_reasons(served: Running) -> None:
    one = served.client.post("/v1/predict", files=form(b"hello"))
    two = served.client.post("/v1/predict", files=form(b"hello", b""))
    assert (one.status_code, two.status_code) == (422, 422)
    assert one.json()["detail"] == "the picture can't be used: not an image"
    assert [row["error"] for row in two.json()["results"]] == ["not an image", "empty file"]


def test_a_card_is_that_of_the_command_line(served: Running, engine: TorchEngine) -> None:
    data, runtime = png(3), start(RuntimeConfig(device="cpu", precision="fp32"), cpu_bf16=False)
    wanted = make_card("0.png", data, engine, runtime, 10**6).to_dict()
    card = served.client.post("/v1/card", files=form(data)).json()
    assert card["evidence"] == json.loads(json.dumps(wanted["evidence"]))
    assert card["verdict"] == wanted["verdict"] and card["file"] == wanted["file"] and card["words"] == wanted["words"]
    probs = [copy["prob"] for copy in wanted["stability"]["copies"]]
    assert [copy["prob"] for copy in card["stability"]["copies"]] == pytest.approx(probs, abs=1e-4)
    rows = served.client.post("/v1/predict?card=true", files=form(data, b"x")).json()["results"]
    assert rows[0]["card"]["stability"]["flips"] == card["stability"]["flips"] and rows[1]["card"] is None
    coded = served.client.post("/v1/predict", json=as_json(data, card=True)).json()["results"]
    assert coded[0]["card"]["file"]["sha256"] == card["file"]["sha256"]


def test_heat_maps_have_the_pictures_proportions_and_one_layer_a_network(served: Running) -> None:
    answer = served.client.post("/v1/explain?method=gradcam", files=form(png(0, (40, 80))))
    assert answer.status_code == 200, answer.text
    maps = answer.json()["maps"]
    assert [one["name"] for one in maps] == ["ensemble", "first", "second"]
    for one in maps:
        picture = Image.open(BytesIO(base64.b64decode(one["png"])))
        assert picture.mode == "RGBA" and picture.size == (one["width"], one["height"]) == (80, 40)
    alone = served.client.post("/v1/explain?method=gradcam&format=png", files=form(png(0, (40, 80))))
    assert alone.headers["content-type"] == "image/png"
    assert alone.content == base64.b64decode(maps[0]["png"])


@pytest.mark.parametrize(
    ("request_of", "status", "words"),
    [
        ({"json": {"images": [{"url": "http://example.org/x.jpg"}]}}, 422, "images.0.url is not known"),
        ({"json": {"images": [{"data": "aGVsbG8=", "url": "http://example.org/x.jpg"}]}}, 422, "images.0.url is not"),
        ({"json": {"images": []}}, 422, "images"),
        ({"json": {"images": [{"data": "&&&&"}]}}, 422, "images.0.data is not base64"),
        ({"json": {"images": [{"data": 5}]}}, 422, "images.0.data"),
        ({"content": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 422, "JSON"),
        ({"content": b"\xff\xfe", "headers": {"Content-Type": "application/json"}}, 422, "JSON"),
        ({"files": [("file", ("a.png", b"x"))]}, 422, "the form's field 'file' is not known; accepted is files"),
        ({"data": {"url": "http://example.org/x.jpg"}, "files": form(b"x")}, 422, "field 'url' is not known"),
        ({"files": form(*[b"x"] * 9)}, 422, "more than 8 images (max_images)"),
        ({"json": {"images": [{"data": ""}] * 9}}, 422, "9 images, limit 8"),
        ({"content": b"x", "headers": {"Content-Type": "image/png"}}, 415, "the body is image/png; accepted are"),
        ({"content": b"x"}, 415, "of no stated type"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 422, "no boundary"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}}, 422, "the form is broken"),
        (
            {"content": b"--y\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=y"}},
            422,
            "ends before its last boundary",
        ),
        ({"files": form(b"x" * 400_000)}, 413, "more than 300,000 bytes (max_bytes)"),
        ({"content": iter([b"x" * 50_000] * 8), "headers": {"Content-Type": "application/json"}}, 413, "300,000 bytes"),
    ],
)
def test_a_mistaken_request_is_one_sentence(served: Running, request_of: dict, status: int, words: str) -> None:
    answer = served.client.post("/v1/predict", **request_of)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


def test_cards_and_maps_are_of_one_picture(served: Running) -> None:
    for route in ("/v1/card", "/v1/explain"):
        assert served.client.post(route, files=form(b"x", b"y")).json()["detail"] == "2 images; accepted is one"
        broken = served.client.post(route, files=form(b"x"))
        assert broken.status_code == 422 and broken.json()["detail"] == "the picture can't be used: not an image"
    answer = served.client.post("/v1/explain?method=tea", files=form(png()))
    assert answer.status_code == 422 and "gradcam" in answer.json()["detail"]


def bomb() -> bytes:
    """A PNG of a few kilobytes with 400 million pixels."""
    buffer = BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bomb(), "400,000,000 pixels, limit 1,000,000 (max_pixels)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image"),
        (b"PK\x03\x04" + b"\0" * 100, "not an image"),
    ],
)
def test_hostile_pictures_are_refused_with_a_reason(served: Running, data: bytes, reason: str) -> None:
    for route in ("/v1/predict", "/v1/card", "/v1/explain"):
        answer = served.client.post(route, files=form(data))
        assert answer.status_code == 422 and reason in answer.json()["detail"], answer.text


def test_names_come_back_without_folders_and_without_signs_that_deceive(served: Running) -> None:
    names = ["../../etc/passwd", "C:\\photos\\münchen.png", "a\u202egnp.exe", "x" * 900]
    files = [("files", (name, png())) for name in names]
    found = [row["name"] for row in served.client.post("/v1/predict", files=files).json()["results"]]
    assert found == ["passwd", "münchen.png", "agnp.exe", "x" * 200]


def test_the_log_has_one_line_a_request_without_names_and_content(served: Running) -> None:
    files = [("files", ("secret-name.png", png())), ("files", ("other.png", b"secret-content"))]
    told = served.client.post("/v1/predict", files=files, headers={"X-Request-ID": "abc-123"})
    assert told.headers["X-Request-ID"] == "abc-123"
    line = served.line("abc-123")
    assert (line["route"], line["status"], line["images"], line["errors"]) == ("/v1/predict", 200, 2, 1)
    assert line["bytes"] == len(png()) + len(b"secret-content") and line["ms"] > 0
    assert "secret" not in served.log.getvalue()


def test_a_senders_id_that_is_not_harmless_is_replaced(served: Running) -> None:
    answer = served.client.get("/v2/health/live", headers={"X-Request-ID": "a b\t{}"})
    assert len(answer.headers["X-Request-ID"]) == 32


def test_figures_count_requests_images_and_batches(served: Running) -> None:
    before = {name: served.metric(name) for name in ("dfd_batch_images_sum", "dfd_images_total", "dfd_image_errors")}
    served.client.post("/v1/predict", files=form(png(), png(1), b"x"))
    assert served.metric("dfd_batch_images_sum") - before["dfd_batch_images_sum"] == 2
    assert served.metric("dfd_images_total") - before["dfd_images_total"] == 2
    assert served.metric("dfd_image_errors") - before["dfd_image_errors"] == 1
    assert served.metric('dfd_requests_total{method="POST",route="/v1/predict",status="200"}') >= 1
    assert served.metric("dfd_images_in_work") == 0
    served.client.get("/nowhere/secret-path")
    assert "secret-path" not in served.client.get("/metrics").text


def test_what_is_served_says_its_limits(served: Running) -> None:
    told = served.client.get("/v1/bundle").json()
    assert told["name"] == "both" and told["members"] == ["first", "second"]
    assert told["limits"] == {"max_bytes": 300_000, "max_images": 8, "max_pixels": 10**6}
    assert told["bands"]["unsure_low"] == pytest.approx(0.4)


def test_browsers_are_told_to_load_nothing_from_elsewhere(served: Running) -> None:
    for path in ("/", "/docs", "/app.js", "/v1/bundle", "/nowhere"):
        headers = served.client.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


def test_many_at_once_get_their_own_answers(served: Running, engine: TorchEngine) -> None:
    import concurrent.futures

    files = [png(seed) for seed in range(40)]
    with httpx.Client(base_url=served.url, timeout=60) as client, concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda data: client.post("/v1/predict", files=form(data)).json(), files))
    logits = [answer["results"][0]["logit"] for answer in answers]
    assert logits == pytest.approx([logit_of(engine, data) for data in files], abs=1e-4)
    assert np.ptp(logits) > 0.1
