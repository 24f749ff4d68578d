"""Pictures of the mesh: beside captured views, from above, and turning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.mesh.zbuffer import render_mesh

if TYPE_CHECKING:
    from reconstruction_pipeline.kernels.camera import PinholeView
    from reconstruction_pipeline.stages.mesh.files import TriangleMesh
    from reconstruction_pipeline.stages.mesh.texture import Texture

COMPARED = 3
HEIGHT_PX = 240
RISE_DEG = 35.0
# Of the turn: how far to both sides and upwards, in how many pictures of which height.
TURN_DEG, TURN_RISE_DEG, TURN_STEPS, TURN_HEIGHT_PX = 40.0, 15.0, 5, 160
MAX_BYTES = 60_000
_BACKGROUND = np.array([32, 32, 32], np.float32)


def write_previews(
    folder: Path, mesh: TriangleMesh, texture: Texture, views: list[PinholeView],
    pictures: list[npt.NDArray[np.uint8]],
) -> None:  # fmt: skip
    """`mesh_view_<n>.jpg`: picture, textured and shaded mesh; `mesh_above.jpg`: the mesh from higher up;
    `mesh_turn.jpg`: the mesh from left to right of the captured path.
    """
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    for n, i in enumerate(np.linspace(0, len(views) - 1, COMPARED + 2).round().astype(int)[1:-1], start=1):
        view = _at_height(views[i])
        picture = cv2.resize(pictures[i], (view.width, view.height), interpolation=cv2.INTER_AREA)
        _write_jpeg(folder / f"mesh_view_{n}.jpg", np.hstack([picture, *show(mesh, texture, view)]))
    middle = views[len(views) // 2]
    above = swung(_at_height(middle), mesh, RISE_DEG)
    _write_jpeg(folder / "mesh_above.jpg", np.hstack(show(mesh, texture, above)))
    small = _at_height(middle, TURN_HEIGHT_PX)
    turn = [swung(small, mesh, TURN_RISE_DEG, angle) for angle in np.linspace(-TURN_DEG, TURN_DEG, TURN_STEPS)]
    _write_jpeg(folder / "mesh_turn.jpg", np.hstack([show(mesh, texture, view)[0] for view in turn]))


def show(
    mesh: TriangleMesh, texture: Texture, view: PinholeView
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The textured and the shaded mesh, (H, W, 3) RGB, drawn at twice the size and averaged."""
    import cv2

    fine = view.scaled(2 * view.width, 2 * view.height)
    attributes = np.hstack([texture.uv.astype(np.float32), mesh.normals[texture.vertex]])
    rendering = render_mesh(mesh.vertices[texture.vertex], texture.corners, attributes, fine)
    there = rendering.face >= 0
    texels = rendering.attributes[..., :2] * len(texture.image) - 0.5
    column, row = np.ascontiguousarray(texels[..., 0]), np.ascontiguousarray(texels[..., 1])
    coloured = cv2.remap(texture.image, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    normals = rendering.attributes[..., 2:]
    normals = normals / np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-6)
    # A lamp over the left shoulder; what faces away from the camera, the back of a surface, is tinted red.
    light = view.rotation.T @ (np.array([-0.4, -0.6, -0.7]) / np.linalg.norm([0.4, 0.6, 0.7]))
    brightness = 60 + 180 * np.clip(normals @ light, 0, 1)
    back = _facing_away(mesh, rendering.face, fine)
    shaded = np.where(back[..., None], brightness[..., None] * [1.0, 0.45, 0.45], brightness[..., None])
    layers = [np.where(there[..., None], layer, _BACKGROUND) for layer in (coloured, shaded)]
    size = (view.width, view.height)
    textured, grey = (cv2.resize(x.astype(np.float32), size, interpolation=cv2.INTER_AREA) for x in layers)
    return np.clip(textured, 0, 255).astype(np.uint8), np.clip(grey, 0, 255).astype(np.uint8)


def swung(view: PinholeView, mesh: TriangleMesh, rise_deg: float, turn_deg: float = 0.0) -> PinholeView:
    """The camera swung upwards and to the right about the middle of the mesh, and a little back."""
    target = np.median(mesh.vertices, axis=0)
    up, right = np.radians(rise_deg), np.radians(turn_deg)
    rise = np.array([[1, 0, 0], [0, np.cos(up), -np.sin(up)], [0, np.sin(up), np.cos(up)]])  # about the camera's x
    turn = np.array(
        [[np.cos(right), 0, np.sin(right)], [0, 1, 0], [-np.sin(right), 0, np.cos(right)]]
    )  # about the world's y, which is down
    rotation = rise @ view.rotation @ turn
    distance = 1.25 * float(np.linalg.norm(view.center - target))
    center = target - distance * rotation[2]
    return type(view)(rotation, -rotation @ center, view.fx, view.fy, view.cx, view.cy, view.width, view.height)


def _facing_away(mesh: TriangleMesh, face: npt.NDArray[np.int32], view: PinholeView) -> npt.NDArray[np.bool_]:
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    away = np.sum(normals * (corners[:, 0] - view.center), axis=1) > 0
    return np.asarray((face >= 0) & away[np.maximum(face, 0)])


def _at_height(view: PinholeView, height: int = HEIGHT_PX) -> PinholeView:
    return view.scaled(max(1, round(view.width * height / view.height)), height)


def _write_jpeg(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    import cv2

    for quality in (88, 80, 70, 60, 50, 40):
        data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) <= MAX_BYTES:
            break
    path.write_bytes(data)
