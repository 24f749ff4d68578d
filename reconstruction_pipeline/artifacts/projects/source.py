"""What a project says before anything is done to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, PosedImage
from reconstruction_pipeline.artifacts.errors import InvalidArtifact

MIN_IMAGES = 2
# How far the aspect of a picture may be from that of its camera; rounding of small pictures needs some.
ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True)
class Source:
    """A posed project as found: cameras may be distorted, points may be missing or without tracks.

    The picture of an image is `pictures / image.name`. `masks` maps image names to mask files (0: ignore).
    `notes` are sentences for the user.
    """

    model: ColmapModel
    pictures: Path
    masks: dict[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def has_tracks(self) -> bool:
        """Whether points are tied to the images that see them."""
        return any(len(image.point_rows) for image in self.model.images)


def checked(source: Source, project: Path) -> Source:
    """The source with cameras of the size of the pictures; `InvalidArtifact` for what cannot be used.

    People shrink pictures and keep the model; the intrinsics follow the pictures then, also where only some shrank.
    """
    if len(source.model.images) < MIN_IMAGES:
        count = len(source.model.images)
        raise InvalidArtifact(
            f"{project}: the model has {count} image(s) with a pose; at least {MIN_IMAGES} are needed."
        )
    cameras: dict[int, Camera] = {}
    numbers: dict[tuple[int, int, int], int] = {}
    images = []
    for image in source.model.images:
        if not np.isfinite([*image.quaternion, *image.translation]).all():
            raise InvalidArtifact(f"{project}: the pose of '{image.name}' is not finite; export the model again.")
        camera = source.model.cameras.get(image.camera_id)
        if camera is None:
            raise InvalidArtifact(f"{project}: the camera of '{image.name}' is missing; export the model again.")
        if camera.model == "EQUIRECTANGULAR":
            raise InvalidArtifact(
                f"{project}: '{image.name}' is a 360° panorama; export perspective views of it instead."
            )
        size = picture_size(source.pictures / image.name)
        number = numbers.setdefault((image.camera_id, *size), len(numbers) + 1)
        cameras[number] = resized(camera, *size, project, image.name)
        factors = np.array(size) / (camera.width, camera.height)
        images.append(replace(image, camera_id=number, xy=image.xy * factors))
    return replace(source, model=replace(source.model, cameras=cameras, images=tuple(images)))


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) as stored, EXIF orientation ignored; `InvalidArtifact` where it is no picture."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, Image.DecompressionBombError) as error:
        raise InvalidArtifact(f"{path}: the picture cannot be read ({error}); replace it.") from error


def resized(camera: Camera, width: int, height: int, project: Path | str, name: str) -> Camera:
    """The camera of a picture of this size; `InvalidArtifact` where the picture has another shape."""
    if (width, height) == (camera.width, camera.height):
        return camera
    sx, sy = width / camera.width, height / camera.height
    if abs(sx / sy - 1) > ASPECT_TOLERANCE:
        raise InvalidArtifact(
            f"{project}: the picture '{name}' is {width}x{height} but its camera says {camera.width}x{camera.height}; "
            "use the pictures the poses were made from."
        )
    focals = 1 if camera.model.startswith("SIMPLE_") or camera.model in ("RADIAL", "RADIAL_FISHEYE") else 2
    scales = [sx] if focals == 1 else [sx, sy]
    params = list(camera.params)
    params[: focals + 2] = [value * by for value, by in zip(params[: focals + 2], [*scales, sx, sy], strict=True)]
    return Camera(camera.model, width, height, tuple(params))


def renamed(images: tuple[PosedImage, ...], names: dict[str, str]) -> tuple[PosedImage, ...]:
    """The images under the names of their pictures, in name order."""
    return tuple(sorted((replace(i, name=names[i.name]) for i in images), key=lambda image: image.name))


def masks_beside(pictures: Path, names: list[str]) -> dict[str, Path]:
    """Masks in a folder `masks` beside the picture folder: `a.jpg.png` (COLMAP) or `a.png` for `a.jpg`."""
    folders = [pictures.parent / "masks", pictures / "masks"]
    found = {}
    for folder in (f for f in folders if f.is_dir()):
        for name in names:
            for mask in (folder / f"{name}.png", (folder / name).with_suffix(".png"), folder / name):
                if name not in found and mask.is_file():
                    found[name] = mask
    return found


def plural(count: int, what: str) -> str:
    """'1 picture', '2 pictures'."""
    return f"{count} {what}" if count == 1 else f"{count} {re.sub('y$', 'ie', what)}s"
