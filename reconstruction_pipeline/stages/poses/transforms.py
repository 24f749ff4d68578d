"""nerfstudio's `transforms.json` for a sparse model."""

from __future__ import annotations

from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts.colmap import ColmapModel

# OpenCV camera (x right, y down, z forward) to OpenGL camera (x right, y up, z backward).
OPENCV_TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def transforms_json(model: ColmapModel, image_prefix: str = "images/") -> dict[str, Any]:
    """The document as nerfstudio and instant-ngp read it, in the model's own world (ours: y-down).

    `transform_matrix` is camera-to-world with OpenGL camera axes; `image_prefix` goes before each name.
    Intrinsics stand per frame, and at the top as well when all frames share one camera.
    Raises `InvalidArtifact` for cameras with distortion.
    """
    frames = []
    for image in model.images:
        to_world = np.eye(4)
        to_world[:3, :3] = image.rotation.T
        to_world[:3, 3] = image.center
        frames.append(
            {
                "file_path": f"{image_prefix}{image.name}",
                "transform_matrix": (to_world @ OPENCV_TO_OPENGL).tolist(),
                **_intrinsics(model, image.camera_id),
            }
        )
    shared = _intrinsics(model, model.images[0].camera_id) if len(model.cameras) == 1 and model.images else {}
    return {"camera_model": "OPENCV", **shared, "frames": frames}


def _intrinsics(model: ColmapModel, camera_id: int) -> dict[str, Any]:
    camera = model.cameras[camera_id]
    fx, fy, cx, cy = camera.pinhole()
    lens = {"k1": 0.0, "k2": 0.0, "p1": 0.0, "p2": 0.0}
    return {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": camera.width, "h": camera.height, **lens}
