"""Which images are compared, and comparing them; part of the child process."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from reconstruction_pipeline.stages.poses.rungs import EXHAUSTIVE_LIMIT

STRONG_PAIR = 100
# COLMAP's two-view configurations PLANAR, PANORAMIC and PLANAR_OR_PANORAMIC.
HOMOGRAPHY_CONFIGS = (4, 5, 6)
# Pairs that were held out of the mapping and are compared afterwards.
HELD_OUT = 24
# Comparisons of two features that guided matching may make: about a minute of one core (measured).
GUIDED_WORK = 2_500_000_000


def choose_pairs(job: dict[str, Any], descriptors: list[Any]) -> list[tuple[int, int]]:
    """Pairs of places in name order, sorted; `descriptors`: (N, 128) of each image, in name order."""
    from reconstruction_pipeline.stages.poses import pairs

    rung, count = job["rung"], len(descriptors)
    most = EXHAUSTIVE_LIMIT if rung["exhaustive"] else rung["exhaustive_up_to"]
    if count <= most and (rung["exhaustive"] or not job["ordered"]):
        return sorted(pairs.exhaustive_pairs(count))
    alike = pairs.signatures(descriptors, job["seed"])
    if job["ordered"]:
        chosen = pairs.sequential_pairs(count, rung["overlap"])
        chosen |= pairs.similar_pairs(alike, max(1, rung["similar"] // 4), rung["overlap"] + 1)
        chosen |= pairs.loop_pairs(alike, rung["overlap"])
    else:
        chosen = pairs.sequential_pairs(count, 2) | pairs.similar_pairs(alike, rung["similar"])
    return sorted(chosen)


def match_pairs(
    job: dict[str, Any], database: Path, pairs: list[tuple[str, str]], guided: bool = False, verify: bool = True
) -> None:
    """Match the features of these pairs of names, and (with `verify`) verify each by a two-view geometry.

    `guided`: matches that were found before stay, and are looked for again along the epipolar lines of pairs whose
    geometry is not in the database.
    """
    import pycolmap

    listing = Path(job["work"]) / "pairs.txt"
    listing.write_text("".join(f"{first} {second}\n" for first, second in pairs))
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    matching.num_threads = job["threads"]
    matching.guided_matching = guided
    matching.skip_geometric_verification = not verify
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = job["seed"]
    verification.detect_watermark = False
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = str(listing)
    pycolmap.match_image_pairs(
        database,
        matching_options=matching,
        pairing_options=pairing,
        verification_options=verification,
        device=pycolmap.Device.cpu,
    )
    require_compared(database, pairs, "two_view_geometries" if verify else "matches")


def require_compared(database: Path, pairs: list[tuple[str, str]], table: str) -> None:
    """Raise `RuntimeError` for pairs of which COLMAP left no record: it only logs what goes wrong with them."""
    from reconstruction_pipeline.stages.poses.matches import PAIR_BASE

    with contextlib.closing(sqlite3.connect(database)) as connection:
        number = dict(connection.execute("SELECT name, image_id FROM images"))
        done = {pair for (pair,) in connection.execute(f"SELECT pair_id FROM {table}")}
    missing = [
        (first, second)
        for first, second in pairs
        if PAIR_BASE * min(number[first], number[second]) + max(number[first], number[second]) not in done
    ]
    if missing:
        raise RuntimeError(f"{len(missing)} of {len(pairs)} image pairs were not compared, such as {missing[0]}")


def guide_weak_pairs(job: dict[str, Any], database: Path) -> int:
    """Look for more matches of verified pairs that have few, along their epipolar lines; how many pairs.

    Pairs that match well already link their images. On a CPU every feature is compared with every other again: the
    pairs with most matches first, as far as GUIDED_WORK goes.
    """
    from reconstruction_pipeline.stages.poses.matches import PAIR_BASE

    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        names = dict(connection.execute("SELECT image_id, name FROM images"))
        features = dict(connection.execute("SELECT image_id, rows FROM keypoints"))
        query = "SELECT pair_id FROM two_view_geometries WHERE rows > 0 AND rows < ? ORDER BY rows DESC, pair_id"
        weak, work = [], 0
        for (number,) in connection.execute(query, (STRONG_PAIR,)):
            first, second = divmod(number, PAIR_BASE)
            work += features[first] * features[second]
            if work > GUIDED_WORK:
                break
            weak.append((number, names[first], names[second]))
        # Without a geometry, COLMAP verifies the stored matches again, and then looks for more.
        connection.executemany("DELETE FROM two_view_geometries WHERE pair_id = ?", [(number,) for number, *_ in weak])
    if weak:
        match_pairs(job, database, [(first, second) for _, first, second in weak], guided=True)
    return len(weak)


def verified_pairs(database: Path) -> dict[str, int]:
    """How many pairs share enough inliers to count, how many share plenty, and how many of these show that
    one homography explains them: a plane, or a camera that only turned.
    """
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT rows, config FROM two_view_geometries WHERE rows > 0").fetchall()
    strong = [config for inliers, config in rows if inliers >= STRONG_PAIR]
    return {
        "verified_pairs": len(rows),
        "strong_pairs": len(strong),
        "homography_pairs": sum(config in HOMOGRAPHY_CONFIGS for config in strong),
    }


def match_held_out(job: dict[str, Any], database: Path, models: list[dict[str, Any]]) -> int:
    """Match pairs that the largest model says see the same, and that were never compared; how many."""
    from reconstruction_pipeline.artifacts.colmap import read_model
    from reconstruction_pipeline.stages.poses.matches import read_matches
    from reconstruction_pipeline.stages.poses.overlap import held_out_pairs, predicted_overlaps

    if not models:
        return 0
    model = read_model(Path(max(models, key=lambda m: (m["registered"], m["points"]))["path"]))
    tried = read_matches(database, [image.name for image in model.images]).tried
    pairs = held_out_pairs(predicted_overlaps(model), tried, HELD_OUT)
    if pairs:
        match_pairs(job, database, pairs)
    return len(pairs)
