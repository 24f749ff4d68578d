"""The page's own files, the API's description, and what needs no run."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from reconstruction_pipeline_tests.web.conftest import Served


def test_every_file_that_the_pages_ask_for_is_there_and_comes_from_here(served: Served) -> None:
    seen, waiting = set(), ["/", "/docs"]
    while waiting:
        path = waiting.pop()
        answer = served.client.get(path)
        assert answer.status_code == 200, path
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        seen.add(path)
        assert "http://" not in answer.text and "https://" not in answer.text, f"{path} names another server"
        found = re.findall(r'(?:href|src)="(/page/[^"]+)"|from \'\./([^\']+)\'', answer.text)
        waiting += [p for a, b in found if (p := a or f"/page/{b}") not in seen]
    folder = files("reconstruction_pipeline.web") / "static"
    assert {Path(p).name for p in seen if p.startswith("/page/")} >= {
        f.name for f in folder.iterdir() if f.name.endswith((".js", ".css"))
    }


def test_nothing_else_is_a_page(served: Served) -> None:
    for name in ("app.py", "../app.py", "%2e%2e/app.py", "", "x.js", "__init__.py"):
        assert served.client.get(f"/page/{name}").status_code == 404, name


def test_the_description_is_whole_and_readable(served: Served) -> None:
    document = served.client.get("/openapi.json").json()
    wanted = {
        "/api/videos": {"get", "post"},
        "/api/videos/{key}": {"get", "delete"},
        "/api/videos/{key}/cancel": {"post"},
        "/api/videos/{key}/files/{name}": {"get"},
        "/api/uploads": {"post", "options"},
        "/api/uploads/{id}": {"head", "patch", "delete"},
        "/api/upload": {"post"},
        "/api/status/{job_id}": {"get"},
        "/api/result/{job_id}": {"get"},
        "/outputs/{job_id}/{name}": {"get"},
        "/api/jobs/upload": {"post"},
        "/api/jobs/{job_id}/status": {"get"},
        "/static/models/{job_id}.ply": {"get"},
        "/health": {"get"},
    }
    for path, methods in wanted.items():
        assert methods <= set(document["paths"][path]), path
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("summary") and operation.get("description") and operation["tags"], (method, path)
    schema = document["components"]["schemas"]["Video"]["properties"]
    assert {"state", "stage", "progress", "grade", "warnings", "run_url"} <= set(schema)
    assert served.client.get("/health").json() == {"status": "healthy"}
