"""Stand-ins that speak the documented command lines of 3DGS, DashGaussian and LongSplat, option by option.

The options and their spelling are those of each project's README and scripts. What they print and leave has the shape
that their documentation and users show; the scene is one that they are given.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.ply import read_ply, write_ply
from reconstruction_pipeline.stages.splats.alignment import moved

PROGRAM = """
import argparse, json, pathlib, shutil, sys

here = pathlib.Path(__file__).resolve().parent
kind = pathlib.Path(__file__).name
parser = argparse.ArgumentParser()
parser.add_argument("-m", "--model_path", required=True)
if kind == "convert_3dgs.py":
    parser.add_argument("--iteration", type=int, default=10000)
    parser.add_argument("--prune_ratio", type=float, default=0.6)
else:
    parser.add_argument("-s", "--source_path", required=True)
    parser.add_argument("--eval", action="store_true")
    parser.add_argument("-r", "--resolution", type=int, default=-1)
    parser.add_argument("--mode", choices=["free", "hike", "tanks", "custom"])
    parser.add_argument("--port", type=int, default=6009)
    parser.add_argument("--iterations", type=int, default=30000)
    parser.add_argument("--sh_degree", type=int, default=3)
    for name in ("save", "test", "checkpoint"):
        parser.add_argument(f"--{name}_iterations", nargs="+", type=int, default=[])
    parser.add_argument("--start_checkpoint")
if kind == "train_dash.py":
    parser.add_argument("--densify_mode", choices=["free", "freq"])
    parser.add_argument("--resolution_mode", choices=["const", "freq"])
    parser.add_argument("--densify_until_iter", type=int)
    parser.add_argument("--max_n_gaussian", type=int)
    parser.add_argument("--disable_viewer", action="store_true")
arguments = parser.parse_args()
output = pathlib.Path(arguments.model_path)
if kind == "convert_3dgs.py":
    assert json.loads((output / "cameras_all.json").read_text())
    total, target = arguments.iteration, output / "converted_3dgs" / "point_cloud.ply"
else:
    source = pathlib.Path(arguments.source_path)
    assert (source / "sparse" / "0" / "points3D.bin").is_file() and any((source / "images").iterdir())
    total = arguments.iterations
    target = output / "point_cloud" / f"iteration_{total}" / "point_cloud.ply"
print(f"Optimizing {output}")
for percent in range(0, 101, 10):
    done = total * percent // 100
    bar = f"Training progress: {percent:3d}%|####      | {done}/{total} [00:10<00:00, 300.00it/s, "
    bar += f"Loss={0.3 - percent / 500:.7f}]"
    print("\\r" + bar, end="", file=sys.stderr, flush=True)
print(f"\\n[ITER {total}] Evaluating train: L1 0.0213 PSNR 28.25")
print(f"\\n[ITER {total}] Saving Gaussians")
target.parent.mkdir(parents=True, exist_ok=True)
if arguments.__dict__.get("mode") == "custom":
    shutil.copyfile(here / "cameras.json", output / "cameras_all_train.json")
    (output / "cameras_all_test.json").write_text("[]")
else:
    shutil.copyfile(here / ("theirs.ply" if kind == "convert_3dgs.py" else "good.ply"), target)
print("\\nTraining complete.")
"""


def install(folder: Path, good: Path, model: ColmapModel) -> Path:
    """Put the stand-ins into `folder`."""
    folder.mkdir(parents=True)
    for name in ("train.py", "train_dash.py", "convert_3dgs.py"):
        (folder / name).write_text(PROGRAM)
    shutil.copyfile(good, folder / "good.ply")
    rotation = Rotation.from_euler("zx", [70, 30], degrees=True).as_matrix()
    scale, shift = 0.4, np.array([1.0, 2.0, 3.0])
    write_ply(folder / "theirs.ply", moved(read_ply(good), scale, rotation, shift), 0)
    rows = []
    for image in model.images:
        to_world = rotation @ image.rotation.T
        center = scale * rotation @ image.center + shift
        rows.append({"image_name": Path(image.name).stem, "R": to_world.tolist(), "T": (-to_world.T @ center).tolist()})
    (folder / "cameras.json").write_text(json.dumps(rows))
    return folder
