"""docker/compose.yaml started as a whole: a capture in the upload folder becomes a scene, and all outlives a restart.

Real stages in real containers, minutes of them, so for `make soak`; where Docker answers at its usual address, the two
images are there and no deployment is.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from reconstruction_pipeline.orchestration.hardware.containers import LABEL
from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline_tests.orchestration.composed.deployed import (
    SERVICES,
    Deployed,
    deployed,
    has_ended,
    health,
    metrics,
    published,
    why_not,
)
from reconstruction_pipeline_tests.orchestration.site.servers import wait_until
from reconstruction_pipeline_tests.orchestration.test_uploads_end_to_end import START, corner
from reconstruction_pipeline_tests.orchestration.ui_server import LOCATION

pytestmark = [pytest.mark.daemon, pytest.mark.soak, pytest.mark.timeout(3000)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The deployment with one finished upload."""
    if reason := why_not():
        pytest.skip(reason)
    with deployed(tmp_path_factory.mktemp("composed") / "host") as found:
        found.start()
        at = {**LOCATION, "sensorName": "video_uploads"}
        assert found.ui.graphql(START, at=at)["startSensor"]["__typename"] == "Sensor"
        corner(found.root / "corner.mp4", 0.5).rename(found.uploads / "corner.mp4")
        wait_until(lambda: found.finished() == {"corner"}, 2400, found.logs, 5.0)
        yield found


def test_an_upload_becomes_a_scene_each_step_in_a_container_of_its_profile(made: Deployed) -> None:
    scene = metrics(made, "corner")
    assert scene["failed"] is None and scene["grade"] != "F", scene
    steps = made.steps()
    assert set(steps) == set(STAGES)
    for step, container in steps.items():
        assert container.labels[f"{LABEL}.profile"] == ("gpu" if step == "gaussian_splats" else "cpu"), step
        wait_until(partial(has_ended, container), 60, made.logs)
        assert container.attrs["State"]["ExitCode"] == 0 and container.attrs["Config"]["User"] == "10001", step


def test_all_services_are_healthy_and_only_the_loopback_address_is_bound(made: Deployed) -> None:
    assert {name: health(made.service(name)) for name in SERVICES} == dict.fromkeys(SERVICES, "healthy")
    addresses = {name: published(made.service(name)) for name in SERVICES}
    assert addresses == {"postgres": [], "code": [], "webserver": ["127.0.0.1"], "daemon": []}


def test_what_was_made_outlives_the_deployment(made: Deployed) -> None:
    made.compose("down")
    made.start()
    assert made.finished() == {"corner"}
    assert metrics(made, "corner")["failed"] is None
