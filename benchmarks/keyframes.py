"""Keyframe selection: how fast, how repeatable, and whether it beats taking every n-th frame.

    python -m benchmarks keyframes [--quick] [--tables throughput,rate,nth] [--scenes NAMES] [--seeds 0,1,2] [--steps N]

Three tables. *Throughput*: a 1080p H.264 film of ten minutes (a textured wall behind a board, looped), ingested,
scored, selected and written. *Variable rate*: frames chosen from `vfr_alvaar` against those chosen from the same film
at a constant rate. *Every n-th*: the same number of frames of the same pool. Test frames are set aside first, the
sharpest of equal stretches of time, with what lies within a tenth of a second of them, so that neither side may choose
those; both sides share one set of poses and sparse points and are trained alike, for a number of steps: how busy the
machine is changes nothing.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.projects import CACHE, DATA
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.sample import make_sample
from reconstruction_pipeline.stages.ingest import ingest
from reconstruction_pipeline.stages.keyframes import KeyframeSettings, select_keyframes, tables
from reconstruction_pipeline.stages.keyframes.analysis import SHARPNESS_SIZE, Analysis, analyse
from reconstruction_pipeline.stages.keyframes.decode import VideoReader
from reconstruction_pipeline.stages.keyframes.images import gray_of, write_jpeg
from reconstruction_pipeline.stages.keyframes.motion import match_frames
from reconstruction_pipeline.stages.keyframes.selection import select
from reconstruction_pipeline.stages.keyframes.sharpness import blur_extent, relative_sharpness
from reconstruction_pipeline.stages.poses import PoseSettings, estimate_poses

Index = npt.NDArray[np.int64]

TABLES = ("throughput", "rate", "nth")
# Frames of either side.
COUNTS = {"desk_handheld": 32, "apple_handheld": 16, "sample_hurried": 32}
TEST_FRAMES = 8
NEAR_TEST_S = 0.1
# Pixels at 640 (SHARPNESS_SIZE): closer views are the same picture.
DUPLICATE_PX = 1.0
TRAINING: dict[str, Any] = {"seconds": None, "max_splats": 16_000, "max_size": 360, "device": "cpu"}


@dataclass(frozen=True)
class Options:
    """What to measure: `tables` of TABLES, `scenes` of COUNTS, a training of `steps` for every one of `seeds`."""

    film_s: int = 600
    steps: int = 1500
    seeds: tuple[int, ...] = (0, 1, 2)
    tables: tuple[str, ...] = TABLES
    scenes: tuple[str, ...] = tuple(COUNTS)


QUICK = Options(film_s=60, steps=400, seeds=(0,))


def main(options: Options = Options(), cache: Path = CACHE) -> None:
    """Print the tables as Markdown on standard output, progress on standard error."""
    folder = cache / "keyframes"
    folder.mkdir(parents=True, exist_ok=True)
    print("## Keyframes\n")
    if "throughput" in options.tables:
        _throughput(folder, options.film_s)
    if "rate" in options.tables:
        _variable_rate(folder)
    if "nth" in options.tables:
        _every_nth(folder, cache, options)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _throughput(folder: Path, seconds: int) -> None:
    video = folder / f"wall_{seconds}s.mp4"
    if not video.exists():
        _say("filming the wall")
        film_wall(video, seconds)
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.keyframes", str(video), str(folder / "wall")],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    r = json.loads(run.stdout.splitlines()[-1])
    print("### Throughput: 1080p30 H.264, from the file to the written keyframes\n")
    print("| film | MB | wall, s | times real time | CPU, s | times real time by CPU on two cores | peak MB |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {seconds} s | {video.stat().st_size / 1e6:.0f} | {r['wall']:.0f} | **{seconds / r['wall']:.1f}** |"
        f" {r['cpu']:.0f} | {2 * seconds / r['cpu']:.1f} | {r['peak_mb']:.0f} ({r['own_mb']:.0f} + decoder"
        f" {r['child_mb']:.0f}) |\n",
        flush=True,
    )


def film_wall(path: Path, seconds: int, loop_s: int = 10, rate: int = 30) -> None:
    """1920x1080 H.264 of `seconds`: `loop_s` seconds there and back before a textured wall, over and over."""
    rng = np.random.default_rng(0)
    wall = np.zeros((1500, 2900), np.float32)
    for cell in (3, 9, 30, 90):
        noise = rng.random((1500 // cell + 2, 2900 // cell + 2)).astype(np.float32)
        wall += cv2.resize(noise, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)[:1500, :2900]
    wall = (255 * (wall - wall.min()) / np.ptp(wall)).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        stream.options = {"crf": "21", "preset": "veryfast", "bf": "0", "g": str(2 * rate)}
        packets = []
        for i in range(loop_s * rate):
            angle = 2 * np.pi * i / (loop_s * rate)
            x, y = 450 - 440 * np.cos(angle), 200 + 190 * np.sin(angle)
            picture = wall[int(y) : int(y) + 1080, int(x) : int(x) + 1920].copy()
            picture[300:800, 800:1200] = wall[:500, 2300 - int(2 * x) : 2700 - int(2 * x)]
            luma = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuv420p")
            packets += stream.encode(luma)
        packets += stream.encode(None)
        contents = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in packets]
        ticks = round(loop_s / packets[0].time_base)
        base = packets[0].time_base
        for turn in range(seconds // loop_s):
            for data, pts, dts, key in contents:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = stream, base, key
                packet.pts, packet.dts = pts + turn * ticks, dts + turn * ticks
                container.mux(packet)


def _once(video: Path, out: Path) -> dict[str, float]:
    """Ingest and select in this process; seconds and megabytes."""
    import shutil

    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    select_keyframes(ingest(video, out / "source"), KeyframeSettings(), out / "keyframes")
    own, child = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = own.ru_utime + own.ru_stime + child.ru_utime + child.ru_stime
    mb = [own.ru_maxrss / 1024, child.ru_maxrss / 1024]
    shutil.rmtree(out)
    return {
        "wall": time.perf_counter() - started, "cpu": cpu, "peak_mb": sum(mb), "own_mb": mb[0], "child_mb": mb[1],
    }  # fmt: skip


def _variable_rate(folder: Path) -> None:
    constant, variable = DATA / "videos" / "desk_handheld.mp4", DATA / "bad" / "vfr_alvaar.mp4"
    print("### Variable rate: times chosen from vfr_alvaar to the nearest chosen from desk_handheld\n")
    if not (constant.exists() and variable.exists()):
        print("The captures are not here (RECONSTRUCTION_TEST_DATA).\n")
        return
    chosen = []
    for video in (constant, variable):
        analysis, settings = _analysis(video), KeyframeSettings()
        chosen.append(analysis.times[select(analysis, settings).chosen])
    distance = disagreement(*chosen)
    window = float(np.ptp(chosen[0])) / (len(chosen[0]) - 1)
    print("| frames | median, s (at most 0.1) | largest, s | selection window, s (mean) |\n|---|---|---|---|")
    counts = f"{len(chosen[0])}, {len(chosen[1])}"
    print(f"| {counts} | **{np.median(distance):.3f}** | **{distance.max():.2f}** | {window:.2f} |\n")


def disagreement(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Seconds from each time of `other` to the nearest of `one`."""
    return np.asarray(np.abs(other[:, None] - one[None]).min(axis=1))


def _analysis(video: Path) -> Analysis:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        frames, rate = int(stream.frames), float(stream.average_rate or 30)
    return analyse(VideoReader(video), frames, rate, NullProgress())


def without(analysis: Analysis, hidden: npt.NDArray[np.bool_]) -> tuple[Analysis, Index]:
    """The analysis as if the `hidden` frames had never been there, and which frame each of its rows is."""
    kept = np.flatnonzero(~hidden)
    row = np.cumsum(~hidden) - 1
    at = ~hidden[analysis.samples.frame]
    samples = replace(analysis.samples, **{k: v[at] for k, v in vars(analysis.samples).items()})
    samples = replace(samples, frame=row[samples.frame])
    spans = [replace(s, first=int(max(row[s.first], 0)), last=int(max(row[s.last], 0))) for s in analysis.spans]
    return (
        replace(
            analysis, times=analysis.times[kept], sharpness=analysis.sharpness[kept], scene=analysis.scene[kept],
            progress=analysis.progress[kept], samples=samples, spans=spans,
        ),
        kept,
    )  # fmt: skip


@dataclass(frozen=True)
class Contest:
    """Frames by side, ours without those for the poses only in `trained`; `tests` belong to neither."""

    tests: Index
    ours: Index
    trained: Index
    plain: Index


def contest(analysis: Analysis, count: int) -> Contest:
    """Choose test frames, then frames for both sides from what lies away from them."""
    edges = np.linspace(analysis.times[0], analysis.times[-1] + 1e-6, TEST_FRAMES + 1)
    tests = []
    for first, last in pairwise(edges):
        inside = np.flatnonzero((analysis.times >= first) & (analysis.times < last))
        middle = inside[len(inside) // 4 : max(3 * len(inside) // 4, len(inside) // 4 + 1)]
        tests.append(int(middle[np.argmax(analysis.sharpness[middle])]))
    chosen = np.array(tests, np.int64)
    # The frames next to a test frame at 10 Hz are a tenth away: only the test frame itself goes.
    near = np.abs(analysis.times[:, None] - analysis.times[chosen][None]).min(axis=1) < 0.99 * NEAR_TEST_S
    pool, frame = without(analysis, near)
    selection = select(pool, KeyframeSettings(count=count))
    picked = frame[selection.chosen]
    step = len(frame) / len(picked)
    plain = frame[(np.arange(len(picked)) * step).astype(np.int64)]
    return Contest(chosen, picked, picked[selection.train], plain)


def _every_nth(folder: Path, cache: Path, options: Options) -> None:
    print(
        f"### Against every n-th frame: {options.steps} steps, {TRAINING['max_splats']} splats,"
        f" {TRAINING['max_size']} px, {len(options.seeds)} seeds\n"
    )
    print(
        "| capture | frames | sharpness, of its surroundings: ours; n-th | 1 - Crété's blur | duplicate pairs |"
        " PSNR of the test frames, dB, median | difference | of each seed |"
    )
    print("|---|---|---|---|---|---|---|---|")
    videos = {
        "desk_handheld": DATA / "videos" / "desk_handheld.mp4",
        "apple_handheld": DATA / "videos" / "apple_handheld.mp4",
    }
    for name in options.scenes:
        video = videos.get(name) or make_sample(cache / "sample", "hurried").video
        if not video.exists():
            print(f"| {name} | not here (RECONSTRUCTION_TEST_DATA) | | | | | | |")
            continue
        _say(f"{name}: selection and poses")
        analysis = _analysis(video)
        sides = contest(analysis, COUNTS[name])
        relative = relative_sharpness(analysis.times, analysis.sharpness)
        detail = [float(relative[side].mean()) for side in (sides.ours, sides.plain)]
        project = folder / name
        grays = _project(video, sides, project)
        sharp = [1 - statistics.fmean(blur_extent(grays[i]) for i in side) for side in (sides.ours, sides.plain)]
        pairs = [_duplicates([grays[i] for i in side]) for side in (sides.ours, sides.plain)]
        psnr: dict[str, list[float]] = {"ours": [], "plain": []}
        for seed in options.seeds:
            for side, frames in (("ours", sides.trained), ("plain", sides.plain)):
                psnr[side].append(_trained(project, frames, sides.tests, options.steps, seed))
            _say(f"{name} seed {seed}: ours {psnr['ours'][-1]:.2f}, n-th {psnr['plain'][-1]:.2f} dB")
        ours, plain = (statistics.median(psnr[side]) for side in ("ours", "plain"))
        counts = f"{len(sides.ours)} ({len(sides.trained)} trained)"
        each = ", ".join(f"{a - b:+.2f}" for a, b in zip(psnr["ours"], psnr["plain"], strict=True))
        print(
            f"| {name} | {counts} | {detail[0]:.3f}; {detail[1]:.3f} | {sharp[0]:.3f}; {sharp[1]:.3f} |"
            f" {pairs[0]}; {pairs[1]} | {ours:.2f}; {plain:.2f} |"
            f" **{ours - plain:+.2f}** | {each} |",
            flush=True,
        )
    print()


def _name(frame: int) -> str:
    return f"{frame:06d}.jpg"


def _project(video: Path, sides: Contest, folder: Path) -> dict[int, Any]:
    """Poses of all frames together; the grey picture of each frame."""
    frames = np.unique(np.concatenate([sides.tests, sides.ours, sides.plain]))
    (folder / "images").mkdir(parents=True, exist_ok=True)
    times = dict(enumerate(_times(video)))
    grays, rows, size = {}, [], (0, 0)
    for decoded in VideoReader(video).pictures([(int(i), times[int(i)]) for i in frames], KeyframeSettings().max_size):
        write_jpeg(folder / "images" / _name(decoded.index), decoded.array, 95)
        grays[decoded.index] = gray_of(decoded.array, SHARPNESS_SIZE)
        size = decoded.array.shape[1], decoded.array.shape[0]
        rows.append({"name": _name(decoded.index), "timestamp_s": decoded.time_s, "width": size[0], "height": size[1]})
    if len(rows) != len(frames):
        raise RuntimeError(f"{video}: only {len(rows)} of {len(frames)} frames decode.")
    wanted = {row["name"] for row in rows}
    for stray in (folder / "images").iterdir():
        if stray.name not in wanted:
            stray.unlink()
    tables.write_table(folder / "keyframes.csv", ({**row, "focal_px": None} for row in rows))
    tables.write_camera(folder / "camera.json", True, *size, None)
    estimate_poses(Keyframes(folder), PoseSettings(), folder / "poses")
    return grays


def _times(video: Path) -> list[float]:
    return [decoded.time_s for decoded in VideoReader(video).grays(32)]


def _duplicates(grays: list[Any]) -> int:
    """Pairs of neighbours that show the same view."""
    shifts = [match_frames(a, b)[0] for a, b in pairwise(grays)]
    return sum(shift is not None and shift < DUPLICATE_PX for shift in shifts)


def _trained(project: Path, frames: Index, tests: Index, steps: int, seed: int) -> float:
    """PSNR in dB of the test frames after training on the others."""
    from reconstruction_pipeline.artifacts.colmap import read_model
    from reconstruction_pipeline.stages.splats.inputs import points_of, views_of
    from reconstruction_pipeline.stages.splats.settings import TrainSettings
    from reconstruction_pipeline.stages.splats.train import train_splats

    model = read_model(project / "poses" / "sparse" / "0")
    used = {_name(int(i)) for i in (*frames, *tests)}
    views = [v for v in views_of(model, lambda n: project / "poses" / "images" / n) if v.name in used]
    settings = TrainSettings(**TRAINING, steps=steps, seed=seed)
    held_out = {_name(int(i)) for i in tests}
    result = train_splats(views, points_of(model), settings, NullProgress(), held_out_views=held_out)
    return float(result.metrics["psnr_holdout_db"])


if __name__ == "__main__":
    print(json.dumps(_once(Path(sys.argv[1]), Path(sys.argv[2]))))
