"""Pictures of what is wrong, and the tables beside them."""

from __future__ import annotations

import csv
from dataclasses import replace

import cv2
import numpy as np

from reconstruction_pipeline.stages.splats.comparison import comparison, error_map, worst_views, write_worst
from reconstruction_pipeline.stages.splats.evaluate import ViewScore, mean_lpips, renderer, score
from reconstruction_pipeline.stages.splats.outputs import write_comparisons, write_evaluation
from reconstruction_pipeline.stages.splats.train import TrainingResult
from reconstruction_pipeline.stages.splats.views import load_view


def test_the_error_map_is_black_where_equal_and_brighter_where_worse():
    captured = np.full((4, 5, 3), 100, np.uint8)
    rendered = captured.copy()
    rendered[0] += np.arange(5, dtype=np.uint8)[:, None] * 12
    rendered[1, 0], rendered[1, 1] = 255, 180
    mask = np.full((4, 5), 255, np.uint8)
    mask[1, 0] = 0
    light = error_map(captured, rendered, mask).sum(axis=2)
    assert light.shape == (4, 5) and light[2].max() < 10
    assert np.all(np.diff(light[0].astype(int)) > 0)
    assert light[1, 0] == light[2, 0]  # ignored
    assert light[1, 1] == error_map(captured, np.full_like(captured, 250)).sum(axis=2)[0, 0] > 500  # 80/255: full


def test_captured_rendered_and_error_stand_side_by_side(tiny_scene):
    view = load_view(tiny_scene.views[3])
    render = renderer(tiny_scene.truth, [v.camera for v in tiny_scene.views])
    image = comparison(render, view)
    height, width = view.image.shape[:2]
    left, middle, right = (image[:, i * width : (i + 1) * width] for i in range(3))
    assert image.shape == (height, 3 * width, 3) and np.array_equal(left, view.image)
    assert np.abs(left.astype(int) - middle).max() <= 1 and right.max() < 20


def test_the_worst_are_written_by_rank_and_older_ones_go(tiny_scene, tmp_path):
    views = [load_view(view) for view in tiny_scene.views]
    render = renderer(tiny_scene.truth, [view.camera for view in views])
    rows = [ViewScore(view.name, 30.0 - i, 0.9) for i, view in enumerate(views)]
    worst = worst_views(rows)
    assert [row.name for row in worst] == ["11.png", "10.png", "09.png", "08.png", "07.png"]
    (tmp_path / "worst_1_3.00dB_old.jpg").write_bytes(b"old")
    (tmp_path / "mine.jpg").write_bytes(b"kept")
    paths = write_worst(tmp_path, render, views, worst)
    assert [path.name for path in paths[:2]] == ["worst_1_19.00dB_11.jpg", "worst_2_20.00dB_10.jpg"]
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths} | {"mine.jpg"}
    assert cv2.imread(str(paths[0])).shape == (64, 240, 3)


def test_the_pipeline_shows_the_scene_that_was_measured(tiny_scene, tmp_path):
    held_out = tuple(load_view(view) for view in tiny_scene.views[::2])
    rows = tuple(ViewScore(view.name, 20.0 + i, 0.9) for i, view in enumerate(held_out))
    trained_on_all = replace(tiny_scene.truth, sh=-tiny_scene.truth.sh)
    write_comparisons(tmp_path, TrainingResult(trained_on_all, (), rows, (), {}, held_out, tiny_scene.truth))
    shown = cv2.imread(str(tmp_path / "comparisons" / "04.jpg")).astype(int)
    assert shown.shape == (64, 240, 3) and np.abs(shown[:, :80] - shown[:, 80:160]).mean() < 5  # JPEG
    assert len(list((tmp_path / "comparisons").iterdir())) == 6
    assert sorted(path.name for path in (tmp_path / "previews").iterdir()) == [f"0{i}.jpg" for i in (0, 2, 4, 6, 8)]
    write_comparisons(tmp_path, TrainingResult(trained_on_all, (), rows, (), {}, held_out))
    shown = cv2.imread(str(tmp_path / "comparisons" / "04.jpg")).astype(int)
    assert np.abs(shown[:, :80] - shown[:, 80:160]).mean() > 30


def test_the_perceptual_distance_stands_in_every_row(tiny_scene, tmp_path):
    views = [load_view(view) for view in tiny_scene.views[:2]]
    render = renderer(tiny_scene.truth, [view.camera for view in views])
    rows = score(render, views, lambda image, target, kept=None: 0.25 if target is views[0].image else 0.75)
    assert [row.lpips for row in rows] == [0.25, 0.75] and mean_lpips(rows) == 0.5
    assert mean_lpips([rows[0], rows[1]._replace(lpips=None)]) is None and mean_lpips([]) is None
    write_evaluation(tmp_path / "evaluation.csv", [rows[0], rows[1]._replace(lpips=None)])
    with (tmp_path / "evaluation.csv").open() as file:
        assert [row["lpips"] for row in csv.DictReader(file)] == ["0.25", ""]
