"""Content credentials: signed by the test itself."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dfd.evidence.credentials import _credentials, credentials_of
from dfd.evidence.evidence import examine
from tests.evidence.signing import CAPTURED, signed
from tests.images import encoded, picture

PICTURE = encoded(picture(3, 96, 96))


def test_a_signed_picture_says_who_signed_and_that_it_was_generated() -> None:
    found = credentials_of(signed(PICTURE), "JPEG")
    assert found is not None
    assert (found.state, found.signer, found.generator) == ("valid", "Test Newsroom", "Test Camera 1.0")
    assert found.generated == "yes" and found.source_types == ("trainedAlgorithmicMedia",)
    assert found.actions == ("created (trainedAlgorithmicMedia), by Dream",)


def test_a_camera_that_signs_says_nothing_of_a_generator() -> None:
    found = credentials_of(signed(PICTURE, CAPTURED), "JPEG")
    assert found is not None and found.generated == "" and found.state == "valid"
    levels = {each.level for each in examine(signed(PICTURE, CAPTURED), 10**6).findings if each.topic == "credentials"}
    assert "strong" not in levels


def manifest(kind: str, *ingredients: tuple[str, str]) -> dict:
    action = {"action": "c2pa.created", "digitalSourceType": f"http://cv.iptc.org/newscodes/digitalsourcetype/{kind}"}
    return {
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        "ingredients": [{"relationship": relation, "active_manifest": name} for relation, name in ingredients],
    }


@pytest.mark.parametrize(
    ("ingredient", "generated"),
    [("componentOf", "partly"), ("parentOf", "yes"), ("inputTo", "partly")],
)
def test_a_photograph_with_a_generated_logo_was_not_made_by_a_generator(ingredient: str, generated: str) -> None:
    other = manifest("trainedAlgorithmicMedia", ("parentOf", "photo"))  # one names the other, and so on
    manifests = {"photo": manifest("digitalCapture", (ingredient, "other")), "other": other}
    found = _credentials({"active_manifest": "photo", "manifests": manifests, "validation_state": "Valid"})
    assert found.generated == generated
    assert found.source_types == ("digitalCapture", "trainedAlgorithmicMedia")


def test_a_picture_changed_after_signing_is_told() -> None:
    data = bytearray(signed(PICTURE))
    data[-30] ^= 1
    found = credentials_of(bytes(data), "JPEG")
    assert found is not None and found.state == "invalid" and "assertion.dataHash.mismatch" in found.problems
    first = examine(bytes(data), 10**6).findings[0]
    assert first.level == "notable" and "do not fit this file" in first.words


def test_credentials_that_fit_but_say_generated_are_the_first_thing_told() -> None:
    first = examine(signed(PICTURE), 10**6).findings[0]
    assert first.level == "strong" and "‘Test Newsroom’" in first.words and "not confirmed" in first.words


def test_a_signature_in_a_stranger_s_words_is_safe_to_print() -> None:
    found = credentials_of(signed(PICTURE, agent="\x1b[31m<script>" + "x" * 5000), "JPEG")
    assert found is not None and "\x1b" not in found.actions[0] and len(found.actions[0]) < 300


def test_no_credentials() -> None:
    assert credentials_of(PICTURE, "JPEG") is None
    assert credentials_of(PICTURE + b"c2pa jumb", "JPEG") is None
    assert credentials_of(signed(PICTURE), "PPM") is None


def test_damaged_credentials_are_a_finding_and_no_error() -> None:
    data = signed(PICTURE)
    place = data.index(b"jumb") + 40
    found = credentials_of(data[:place] + bytes(300) + data[place + 300 :], "JPEG")
    assert found is not None and found.state in ("invalid", "unreadable")


@pytest.fixture
def requests() -> Iterator[tuple[str, list[str]]]:
    """Address of a server on this machine, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_nothing_is_fetched(requests: tuple[str, list[str]]) -> None:
    address, asked = requests
    data = signed(PICTURE, remote=f"{address}/manifest.c2pa")
    found = examine(data, 10**6)
    assert asked == []
    assert found.origin is not None and found.origin.remote.startswith("127.0.0.1")
    assert any("They were not fetched" in each.words for each in found.findings)
