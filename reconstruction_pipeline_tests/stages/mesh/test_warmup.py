from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import sys
from pathlib import Path
from reconstruction_pipeline.stages.{stage}.warmup import compile_all
compile_all()
print(len(list(Path(sys.argv[1]).rglob("*.nbc"))))
"""


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["depth", "mesh"])
def test_warming_up_fills_the_cache(stage: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN.format(stage=stage), str(tmp_path)]
    env = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": ":".join(p for p in sys.path if p), "PATH": ""}
    first, second = (subprocess.run(command, env=env, capture_output=True, text=True, check=True) for _ in range(2))
    assert int(first.stdout) > 4
    assert first.stdout == second.stdout, "nothing is compiled again"
