"""Every test here that takes `asks` is run with either client."""

import pytest
from tests.integration.client.both import BOTH, Asks


@pytest.fixture(params=list(BOTH))
def asks(request: pytest.FixtureRequest) -> Asks:
    return BOTH[request.param]
