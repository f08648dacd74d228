"""Content credentials: signed by the test itself."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dfd.evidence.credentials import Credentials, _credentials, credentials_of
from dfd.evidence.evidence import examine
from tests.evidence.signing import CAPTURED, signed, signed_with_a_certificate_that_ran_out
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


@pytest.mark.parametrize("kind", ["algorithmicMedia", "virtualRecording"])
def test_a_formula_s_picture_and_a_recording_are_not_a_generator_s(kind: str) -> None:
    manifests = {"one": manifest(kind)}
    found = _credentials({"active_manifest": "one", "manifests": manifests, "validation_state": "Valid"})
    assert found.generated == "" and found.source_types == (kind,)


def test_a_certificate_that_ran_out_is_no_change_of_the_picture() -> None:
    data = signed_with_a_certificate_that_ran_out(PICTURE)
    found = credentials_of(data, "JPEG")
    assert found is not None and found.state == "invalid" and "signingCredential.expired" in found.problems
    told = [each for each in examine(data, 10**6).findings if each.topic == "credentials"]
    assert [each.level for each in told] == ["notable"]
    assert "could not be confirmed (signingCredential.expired)" in told[0].words
    assert "does not say that the picture was changed" in told[0].words and "after signing" not in told[0].words


@pytest.mark.parametrize("place", [b"Test Camera", b"Dream", b"\xff\xd9"])
def test_a_certificate_that_ran_out_hides_no_change(place: bytes) -> None:
    data = bytearray(signed_with_a_certificate_that_ran_out(PICTURE))
    data[data.rindex(place) - (30 if place == b"\xff\xd9" else 0)] ^= 1
    words = [each.words for each in examine(bytes(data), 10**6).findings]
    assert any("changed after signing" in each and "signingCredential.expired" in each for each in words)


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("claimSignature.mismatch", True),
        ("claimSignature.missing", True),
        ("claim.missing", True),
        ("assertion.missing", True),
        ("assertion.undeclared", True),
        ("assertion.bmffHash.mismatch", True),
        ("assertion.boxesHash.mismatch", True),
        ("ingredient.manifest.mismatch", True),
        ("ingredient.manifest.missing", True),
        ("timeStamp.mismatch", False),  # the confirmation of the time is another's, and not what was signed
        ("claim.hardBindings.missing", False),  # the signer bound them to no picture
        ("assertion.action.ingredientMismatch", False),  # the signer's own mistake
        ("signingCredential.ocsp.revoked", False),
        ("algorithm.unsupported", False),
        ("general.error", False),
    ],
)
def test_which_problems_mean_a_change_after_signing(code: str, changed: bool) -> None:
    assert Credentials("invalid", problems=("signingCredential.untrusted", code)).changed == changed


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
