"""The textured GLB under Khronos' validator, and in a plain three.js page of headless Chromium."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reconstruction_pipeline.stages.mesh.glb import write_glb
from reconstruction_pipeline_tests.chromium import DRAWING, chromium, needs_chromium
from reconstruction_pipeline_tests.readers import install, validate_gltf
from reconstruction_pipeline_tests.stages.mesh.textured import BLUE, RED, roof

ORIGIN = "http://localhost"
PAGE = """<!doctype html><style>body{margin:0}canvas{display:block}</style>
<script type="importmap">{"imports":{"three":"/three/build/three.module.js"}}</script>
<script type="module">
import * as THREE from "three";
import { GLTFLoader } from "/three/examples/jsm/loaders/GLTFLoader.js";
const renderer = new THREE.WebGLRenderer({ preserveDrawingBuffer: true });
renderer.setSize(innerWidth, innerHeight);
document.body.append(renderer.domElement);
const scene = new THREE.Scene();
scene.background = new THREE.Color(0xffffff);
const camera = new THREE.PerspectiveCamera(50, innerWidth / innerHeight, 0.01, 1000);
const loader = new GLTFLoader();
const model = (await loader.loadAsync("/mesh.glb")).scene;
scene.add(model);
const box = new THREE.Box3().setFromObject(model), middle = box.getCenter(new THREE.Vector3());
const size = box.getSize(new THREE.Vector3()).length();
camera.position.set(middle.x, middle.y + 0.6 * size, middle.z + 0.9 * size);
camera.lookAt(middle);
renderer.render(scene, camera);
let triangles = 0;
model.traverse(part => { if (part.isMesh) triangles += part.geometry.index.count / 3; });
document.title = `${triangles} triangles`;
</script>"""


def validated(path: Path) -> dict[str, Any]:
    """What the validator found; fails on errors (severity 0) and warnings (1)."""
    report = validate_gltf(path)
    assert {code: n for code, n in report["counts"].items() if code[0] in "01"} == {}
    return report


def shown(path: Path, width: int = 480, height: int = 360) -> tuple[str, np.ndarray]:
    """The title of the page that shows a GLB, and its picture (H, W, 3), seen from in front and above."""
    three = install() / "node_modules" / "three"

    def answer(route: Any) -> None:
        asked = route.request.url.removeprefix(ORIGIN)
        if asked == "/":
            return route.fulfill(body=PAGE, content_type="text/html")
        file = path if asked == "/mesh.glb" else three / asked.removeprefix("/three/")
        kind = "text/javascript" if file.suffix == ".js" else "model/gltf-binary"
        return route.fulfill(path=file, content_type=kind) if file.is_file() else route.fulfill(status=404)

    said: list[str] = []
    with chromium(DRAWING) as browser:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.route("**/*", answer)
        page.goto(f"{ORIGIN}/")
        page.wait_for_function("document.title !== ''", timeout=60_000)
        assert [text for text in said if "favicon" not in text] == []
        picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        return page.title(), picture


def test_the_validator_has_nothing_to_say(tmp_path: Path) -> None:
    mesh, texture = roof()
    write_glb(tmp_path / "textured.glb", mesh, texture)
    report = validated(tmp_path / "textured.glb")
    assert (report["info"]["totalTriangleCount"], report["info"]["totalVertexCount"]) == (4, 8)
    write_glb(tmp_path / "coloured.glb", mesh)
    assert validated(tmp_path / "coloured.glb")["info"]["totalVertexCount"] == 6


@needs_chromium[0]
@needs_chromium[1]
def test_a_plain_viewer_shows_it_upright_and_in_its_colours(tmp_path: Path) -> None:
    mesh, texture = roof()
    write_glb(tmp_path / "roof.glb", mesh, texture)
    title, picture = shown(tmp_path / "roof.glb")
    assert title == "4 triangles"
    # Seen from the front, the red side is on the left; an unlit material shows the very colours of the texture.
    height, width = picture.shape[:2]
    for column, colour in ((0.38, RED), (0.62, BLUE)):
        near = picture[height // 2 - 3 : height // 2 + 3, int(column * width)].mean(axis=0)
        np.testing.assert_allclose(near, colour, atol=12)
    assert (picture[:20] == 255).all()
