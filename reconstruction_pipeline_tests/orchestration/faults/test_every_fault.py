"""Every fault of the table in docs/reliability.md, for `make soak`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconstruction_pipeline_tests.orchestration.faults.suite import FAULTS, Places
from reconstruction_pipeline_tests.orchestration.faults.table import Fault

pytestmark = [pytest.mark.daemon, pytest.mark.soak, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with Places(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_pipeline_withstands(fault: Fault, places: Places) -> None:
    assert fault.act(places.of(fault), 20261121).tried > 0
