from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model
from reconstruction_pipeline_tests.analytic_scene import make_scene, write_poses

# In a process of its own, as everywhere: pycolmap brings its own zlib.
REWRITE = """
import sys, zlib, pycolmap
model = pycolmap.Reconstruction(sys.argv[1])
for folder, write in ((sys.argv[2], model.write_binary), (sys.argv[3], model.write_text)):
    write(folder)
"""


@pytest.fixture(scope="session")
def posed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`images/` and `sparse/0` of the asymmetric scene, and what pycolmap makes of its model: `binary/`, `text/`."""
    folder = tmp_path_factory.mktemp("posed") / "scene"
    write_poses(folder, make_scene(count=5, width=80, height=60), points=2000)
    (folder / "binary").mkdir()
    (folder / "text").mkdir()
    arguments = [str(folder / name) for name in ("sparse/0", "binary", "text")]
    subprocess.run([sys.executable, "-c", REWRITE, *arguments], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def truth(posed: Path) -> ColmapModel:
    return read_model(posed / "sparse" / "0")
