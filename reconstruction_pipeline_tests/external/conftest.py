from __future__ import annotations

import pytest

from reconstruction_pipeline.artifacts import CameraPoses, GaussianSplats
from reconstruction_pipeline.artifacts.ply import write_ply
from reconstruction_pipeline_tests.external.scene import posed, splats_of
from reconstruction_pipeline_tests.orchestration.hardware.conftest import engine  # noqa: F401


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[GaussianSplats, CameraPoses]:
    """A scene that fits its photographs, thinned: programs are shown what ours would have been shown."""
    folder = tmp_path_factory.mktemp("scene")
    poses, made = posed(folder / "poses")
    (folder / "splats").mkdir()
    write_ply(folder / "splats" / "scene.ply", splats_of(made, step=4), 0)
    return GaussianSplats(folder / "splats"), poses
