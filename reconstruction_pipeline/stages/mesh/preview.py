"""Pictures of the mesh: beside captured views, and from above."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.mesh.zbuffer import render_mesh

if TYPE_CHECKING:
    from reconstruction_pipeline.kernels.camera import PinholeView
    from reconstruction_pipeline.stages.mesh.files import TriangleMesh

COMPARED = 3
HEIGHT_PX = 240
RISE_DEG = 35.0
MAX_BYTES = 60_000
_BACKGROUND = np.array([32, 32, 32], np.float32)


def write_previews(
    folder: Path, mesh: TriangleMesh, views: list[PinholeView], pictures: list[npt.NDArray[np.uint8]]
) -> None:
    """`mesh_view_<n>.jpg`: picture, coloured and shaded mesh; `mesh_above.jpg`: the mesh from higher up."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    for n, i in enumerate(np.linspace(0, len(views) - 1, COMPARED + 2).round().astype(int)[1:-1], start=1):
        view = _at_height(views[i])
        picture = cv2.resize(pictures[i], (view.width, view.height), interpolation=cv2.INTER_AREA)
        _write_jpeg(folder / f"mesh_view_{n}.jpg", np.hstack([picture, *show(mesh, view)]))
    _write_jpeg(folder / "mesh_above.jpg", np.hstack(show(mesh, raised(_at_height(views[len(views) // 2]), mesh))))


def show(mesh: TriangleMesh, view: PinholeView) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The coloured and the shaded mesh, (H, W, 3) RGB, drawn at twice the size and averaged."""
    import cv2

    fine = view.scaled(2 * view.width, 2 * view.height)
    attributes = np.hstack([mesh.colours.astype(np.float32), mesh.normals])
    rendering = render_mesh(mesh.vertices, mesh.faces, attributes, fine)
    there = rendering.face >= 0
    normals = rendering.attributes[..., 3:]
    normals = normals / np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-6)
    # A lamp over the left shoulder; what faces away from the camera, the back of a surface, is tinted red.
    light = view.rotation.T @ (np.array([-0.4, -0.6, -0.7]) / np.linalg.norm([0.4, 0.6, 0.7]))
    brightness = 60 + 180 * np.clip(normals @ light, 0, 1)
    back = _facing_away(mesh, rendering.face, fine)
    shaded = np.where(back[..., None], brightness[..., None] * [1.0, 0.45, 0.45], brightness[..., None])
    layers = [np.where(there[..., None], layer, _BACKGROUND) for layer in (rendering.attributes[..., :3], shaded)]
    size = (view.width, view.height)
    coloured, grey = (cv2.resize(x.astype(np.float32), size, interpolation=cv2.INTER_AREA) for x in layers)
    return np.clip(coloured, 0, 255).astype(np.uint8), np.clip(grey, 0, 255).astype(np.uint8)


def raised(view: PinholeView, mesh: TriangleMesh) -> PinholeView:
    """The camera swung upwards about the middle of the mesh, and a little back."""
    target = np.median(mesh.vertices, axis=0)
    angle = np.radians(RISE_DEG)
    swing = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )  # about the camera's x axis
    rotation = swing @ view.rotation
    distance = 1.25 * float(np.linalg.norm(view.center - target))
    center = target - distance * rotation[2]
    return type(view)(rotation, -rotation @ center, view.fx, view.fy, view.cx, view.cy, view.width, view.height)


def _facing_away(mesh: TriangleMesh, face: npt.NDArray[np.int32], view: PinholeView) -> npt.NDArray[np.bool_]:
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    away = np.sum(normals * (corners[:, 0] - view.center), axis=1) > 0
    return np.asarray((face >= 0) & away[np.maximum(face, 0)])


def _at_height(view: PinholeView) -> PinholeView:
    return view.scaled(max(1, round(view.width * HEIGHT_PX / view.height)), HEIGHT_PX)


def _write_jpeg(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    import cv2

    for quality in (88, 80, 70, 60, 50, 40):
        data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) <= MAX_BYTES:
            break
    path.write_bytes(data)
