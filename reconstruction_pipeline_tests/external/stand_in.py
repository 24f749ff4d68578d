"""A program that is not ours, as tests see it: `python stand_in.py MODE OUTPUT [more]`. Nothing but Python is needed.

It copies a PLY that it is given (`ply SOURCE`), or misbehaves in the way that its mode names.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import time

FIELDS = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"]
FIELDS += ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]


def write_ply(path: pathlib.Path, rows: list[list[float]]) -> None:
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n"
    header += "".join(f"property float {name}\n" for name in FIELDS) + "end_header\n"
    path.write_bytes(header.encode() + b"".join(struct.pack(f"<{len(FIELDS)}f", *row) for row in rows))


def splat(place: float) -> list[float]:
    return [place, 0.0, 3.0, 0, 0, 0, 0.1, 0.2, 0.3, 2.0, -3.0, -3.0, -3.0, 1.0, 0.0, 0.0, 0.0]


def train(output: pathlib.Path, source: str) -> None:
    """Speaks like a trainer, and leaves the scene it was given."""
    for step in range(0, 101, 10):
        bar = f"Training progress: {step:3d}%|####| {step * 300}/30000 [00:01<00:01, Loss={0.2 - step / 1000:.7f}]"
        print(f"\r{bar}", end="", flush=True)
        time.sleep(0.02)
    print("\n[ITER 30000] Evaluating train: L1 0.02 PSNR 31.5", flush=True)
    target = output / "point_cloud" / "iteration_30000" / "point_cloud.ply"
    target.parent.mkdir(parents=True)
    print("[ITER 30000] Saving Gaussians", flush=True)
    shutil.copyfile(source, target)


def flood(megabytes: int) -> None:
    """So much that no memory should hold it."""
    line = b"step 1234: all is well and nothing of interest is happening here, as in the lines before\n"
    block = line * (2**20 // len(line))
    for _ in range(megabytes):
        os.write(1, block)
    print("the last line of the flood", flush=True)


def main() -> int:
    mode, output, more = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    print("started", " ".join(sys.argv[1:2] + more), flush=True)
    if mode == "train":
        train(output, more[0])
    elif mode == "hang":
        # Not even a polite request ends it, and it has a child that would outlive it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import time, sys; time.sleep(600)", str(output)])
        time.sleep(600)
    elif mode == "nothing":
        print("all done, or so it seems", flush=True)
    elif mode == "few":
        write_ply(output / "scene.ply", [splat(0.01 * i) for i in range(31)])
    elif mode == "nan":
        rows = [splat(0.001 * i) for i in range(3000)]
        rows[7][0] = float("nan")
        write_ply(output / "scene.ply", rows)
    elif mode == "garbage":
        (output / "scene.ply").write_bytes(b"ply\nthis is no ply\n" * 50)
    elif mode == "flood":
        flood(int(more[0]))
        write_ply(output / "scene.ply", [splat(0.01 * i) for i in range(31)])
    elif mode == "die":
        print("about to die", flush=True)
        if more[0] == "SIGSEGV":  # a real fault: the first process of a container does not hear its own signals
            import ctypes

            ctypes.string_at(0)
        os.kill(os.getpid(), getattr(signal, more[0]))
    elif mode == "fail":
        print("cannot find the frobnicator", file=sys.stderr, flush=True)
        return 3
    elif mode == "link":
        (output / "scene.ply").symlink_to(more[0])
    elif mode == "environment":
        (output / "scene.ply").write_text("".join(f"{k}={v}\n" for k, v in sorted(os.environ.items())))
    elif mode == "interrupted":
        # Leaves a checkpoint and an early result, and dies the first time; goes on from the checkpoint the second.
        if "--start_checkpoint" in more:
            print("going on from", more[-1], flush=True)
            if "lazy" in more:
                return 0
            write_ply(output / "scene.ply", [splat(0.01 * i) for i in range(40)])
        else:
            (output / "chkpnt7000.pth").write_bytes(b"state")
            (output / "chkpnt15000.pth").write_bytes(b"state")
            write_ply(output / "scene.ply", [splat(0.01 * i) for i in range(3)])
            os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "pipes":
        from dagster_pipes import open_dagster_pipes

        with open_dagster_pipes() as pipes:
            pipes.log.info(f"asked for {pipes.get_extra('output')}")
            pipes.report_custom_message({"progress": 0.4})
            time.sleep(0.5)
            pipes.report_asset_materialization(metadata={"psnr": 30.5, "note": {"raw_value": "fine", "type": "text"}})
        write_ply(output / "scene.ply", [splat(0.01 * i) for i in range(31)])
    elif mode == "copy":
        shutil.copyfile(more[0], output / more[1])
    elif mode == "memory":
        hoard = [bytearray(2**20) for _ in range(int(more[0]))]
        print(len(hoard), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
