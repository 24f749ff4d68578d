"""`python -m benchmarks.formats SCENE.ply PROJECT`: what each splat format costs, as a table.

Every file is written, read again and rendered at every 8th view of the COLMAP project, which is what training holds
out: the PSNR against the PLY's renders, and what is lost against the photographs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from reconstruction_pipeline.artifacts.colmap import read_model
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.views import fit, pinhole_view, read_picture
from reconstruction_pipeline.kernels.metrics import psnr
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, read_splats, write_splats
from reconstruction_pipeline.stages.compression.fidelity import renderer

FILES = {
    "scene.ply": WriteOptions(),
    "scene.glb": WriteOptions(),
    "scene.compressed.ply": WriteOptions(),
    "v2.spz": WriteOptions(spz_version=2),
    "v3.spz": WriteOptions(spz_version=3),
    "v4.spz": WriteOptions(spz_version=4),
    "scene.sog": WriteOptions(),
    "scene.splat": WriteOptions(),
}
HOLDOUT, LONGEST_SIDE = 8, 640


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.formats", description=__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("project", type=Path, help="holds images/ and sparse/0")
    options = parser.parse_args()
    scene, model = read_splats(options.scene), read_model(options.project / "sparse" / "0")
    images = model.images[::HOLDOUT]
    captured = tuple(pinhole_view(model, image) for row, image in enumerate(model.images) if row % HOLDOUT)
    views = [fit(pinhole_view(model, image), LONGEST_SIDE) for image in images]
    photos = [
        read_picture(options.project / "images" / image.name, view) for image, view in zip(images, views, strict=True)
    ]
    near = 0.02 * float(
        np.median(np.linalg.norm(scene.means - np.mean([view.center for view in views], axis=0), axis=1))
    )

    def render(gaussians: Gaussians) -> list[np.ndarray]:
        draw = renderer(gaussians, near)
        return [draw(view).copy() for view in views]

    originals = render(scene)
    before = np.mean([psnr(copy, photo) for copy, photo in zip(originals, photos, strict=True)])
    print(f"{scene.count:,} splats, {len(views)} held-out views, the PLY {before:.2f} dB against the photographs\n")
    print("| file | bytes | per splat | PLY / file | write, read (CPU s) | vs the PLY (dB) | loss (dB) |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in FILES.items():
            path = Path(folder) / name
            started = time.process_time()
            write_splats(path, scene, replace(write, views=captured))
            written = time.process_time()
            copy = read_splats(path)
            read = time.process_time()
            copies, size = render(copy), path.stat().st_size
            same = np.mean([min(psnr(a, b), 99.0) for a, b in zip(copies, originals, strict=True)])
            loss = before - np.mean([psnr(a, photo) for a, photo in zip(copies, photos, strict=True)])
            ratio = options.scene.stat().st_size / size
            seconds = f"{written - started:.2f}, {read - written:.2f}"
            print(
                f"| {name} | {size:,} | {size / scene.count:.1f} | {ratio:.1f} | {seconds} | {same:.1f} | {loss:+.3f} |"
            )


if __name__ == "__main__":
    main()
