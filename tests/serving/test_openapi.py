"""The server against its own description, with requests that schemathesis makes up.

DFD_EXAMPLES=300 makes a long run of it.
"""

import base64
import os

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.serving.running import Running, png

# What a schema can't say: which bytes are a picture.
PICTURES = st.sampled_from([png(seed, (20 + seed, 30)) for seed in range(4)])
FEW = settings(
    max_examples=int(os.environ.get("DFD_EXAMPLES", "8")),
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_server_keeps_to_its_description(served: Running, mode: GenerationMode) -> None:
    schemathesis.openapi.media_type("image/*", PICTURES)
    schemathesis.openapi.format("binary", PICTURES)
    schemathesis.openapi.format("image-base64", PICTURES.map(lambda data: base64.b64encode(data).decode()))
    description = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) == 7
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and operation.method == "get":
            continue  # nothing to do wrong: they take neither parameters nor a body

        @FEW
        @given(case=operation.as_strategy(generation_mode=mode))
        def keeps(case: schemathesis.Case) -> None:
            case.call_and_validate(timeout=120)

        keeps()
