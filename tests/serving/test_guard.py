from pathlib import Path

import httpx
import pytest

from tests.serving.running import Running, form, png, running

KEY = "a-key-of-more-than-16-letters"


@pytest.fixture(scope="module")
def keyed(bundle_folder: Path):
    with running(bundle_folder, key=KEY) as one:
        yield one


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-API-Key": "wrong"}, 401),
        ({"X-API-Key": KEY[:-1]}, 401),
        ({"X-API-Key": "wröng".encode()}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"X-API-Key": KEY}, 200),
    ],
)
def test_with_a_key_only_those_who_show_it_get_answers(keyed: Running, headers: dict, status: int) -> None:
    assert keyed.client.post("/v1/predict", files=form(png()), headers=headers).status_code == status
    assert keyed.client.get("/v1/bundle", headers=headers).status_code == status
    assert keyed.client.get("/metrics", headers=headers).status_code == status


def test_health_and_the_page_need_no_key(keyed: Running) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", "/", "/app.js", "/docs", "/openapi.json"):
        assert keyed.client.get(path).status_code == 200
    assert KEY not in keyed.log.getvalue()


def test_the_description_says_that_a_key_is_needed(keyed: Running, served: Running) -> None:
    asked = keyed.client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]["security"]
    assert asked == [{"bearer": []}, {"header": []}]
    assert "security" not in served.client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_local_server_answers_under_its_own_names_alone(served: Running, host: str) -> None:
    assert served.client.get("/v1/bundle", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000"])
def test_its_own_names_are_accepted_with_any_port(served: Running, host: str) -> None:
    assert served.client.get("/v1/bundle", headers={"Host": host}).status_code == 200


def test_pages_of_other_sites_may_not_use_it(served: Running) -> None:
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        answer = served.client.post("/v1/predict", files=form(png()), headers={"Sec-Fetch-Site": site})
        assert answer.status_code == status
    assert served.client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link to the page


def test_a_large_body_that_is_refused_still_hears_why(keyed: Running) -> None:
    answer = httpx.post(f"{keyed.url}/v1/predict", files=form(b"x" * 15_000_000))
    assert answer.status_code == 401 and "API key" in answer.json()["detail"]
