"""The client in docs/serve.md, as it stands there, over a real connection."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import uvicorn

from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline_tests.orchestration.ui_server import free_port
from reconstruction_pipeline_tests.web.conftest import Served

DOCS = Path(__file__).parents[2] / "docs" / "serve.md"


def test_the_client_of_the_docs_works(served: Served, video: Path, tmp_path: Path) -> None:
    served.launcher.assets = STAGES
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(served.client.app, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (tmp_path / "walk.mp4").write_bytes(video.read_bytes())
    (tmp_path / "client.py").write_text(code.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    try:
        while not server.started:
            time.sleep(0.05)
        done = subprocess.run(
            [sys.executable, "client.py"], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
        )
    finally:
        server.should_exit = True
        thread.join()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "scene.ply").read_bytes().startswith(b"ply")
    assert served.client.get("/api/videos/walk").json()["state"] == "done"
