"""What programs of each stage may be given and may leave, by format."""

from __future__ import annotations

from collections.abc import Mapping

READS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "poses": {"images": ("image-folder",), "masks": ("mask-folder",)},
    "training": {"project": ("colmap", "nerfstudio"), "masks": ("mask-folder",)},
    "meshing": {"splats": ("3dgs-ply",), "project": ("colmap", "nerfstudio")},
    "compression": {"splats": ("3dgs-ply",)},
}
"""Placeholder to the formats it comes in.

image-folder: the keyframes. mask-folder: `<picture>.png`, black where to ignore; empty where the capture has none.
colmap: a folder with `images/` and `sparse/0` (binary, PINHOLE). nerfstudio: a folder with `images/` and
`transforms.json`. 3dgs-ply: a file.
"""

WRITES: Mapping[str, tuple[str, ...]] = {
    "poses": ("colmap",),
    "training": ("3dgs-ply",),
    "meshing": ("ply", "obj", "glb"),
    "compression": ("sog", "spz", "glb"),
}
"""colmap: a model, text or binary, anywhere in the folder. Meshes are in the world of the splats they were given."""

ALWAYS = ("output", "work", "threads")
"""Placeholders of every program: the empty folder for its results, the folder it is started in, and our cores."""

VALUES: Mapping[str, tuple[str, ...]] = {
    "poses": (),
    "training": ("seconds", "steps", "max_splats", "max_size", "sh_degree", "seed"),
    "meshing": ("max_faces", "resolution"),
    "compression": ("seed",),
}
"""Placeholders with what the preset, or a person, chose; any of them may be without a value."""
