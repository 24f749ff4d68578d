"""Writing SOG until it is true enough: encode, decode again, measure, and spend more bytes where needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.compression.codecs import WriteOptions
from reconstruction_pipeline.stages.compression.codecs.pricing import default_price
from reconstruction_pipeline.stages.compression.delivery import Delivery, deliver
from reconstruction_pipeline.stages.compression.fidelity import Yardstick
from reconstruction_pipeline.stages.compression.settings import CompressionSettings

ATTEMPTS = 3
ENOUGH = 0.5
"""Share of the allowed loss that is aimed at."""
GROWTH = 0.35
"""The file grows with this power of one over the price at most: at half the price it is up to 1.3 times larger."""
SPARE = 1.03
"""The ratio is aimed to stay this much above its limit."""
LARGEST_STEP, SMALLEST_STEP = 6.0, 1.2
"""How far the price may fall at once; and what is not worth another attempt."""


def write_sog(
    path: Path,
    scene: Gaussians,
    ply_bytes: int,
    views: tuple[PinholeView, ...],
    yardstick: Yardstick,
    settings: CompressionSettings,
    tick: Callable[[int, int, int], None],
) -> tuple[Delivery, float]:
    """Write `scene` to `path` and measure it; the attempt that is kept is the last one, returned with its price.

    `views`: those the encoder may look at; `tick(attempt, done, total)` after each measured view. The squared error
    of the pictures goes with the price, so the price falls by what the loss is too large, as far as the ratio permits;
    and rises where the file is too large but loses less than it may.
    """
    price = settings.price or default_price(scene.count)
    for attempt in range(ATTEMPTS):
        options = WriteOptions(
            palette=settings.palette,
            kmeans_iterations=settings.kmeans_iterations,
            seed=settings.seed,
            views=views,
            price=price,
        )

        def measured(done: int, total: int, attempt: int = attempt) -> None:
            tick(attempt, done, total)

        delivery = deliver(path, scene, ply_bytes, options, yardstick, measured)
        loss = delivery.fidelity.loss_db if delivery.fidelity is not None else 0.0
        step = _step(loss / (ENOUGH * settings.max_loss_db), delivery.ratio / settings.min_ratio)
        if settings.palette is not None or attempt == ATTEMPTS - 1 or 1 / SMALLEST_STEP < step < SMALLEST_STEP:
            break
        price /= step
    return delivery, price


def _step(excess: float, room: float) -> float:
    """What the price should be divided by, given the loss over what is aimed at, and the ratio over its limit."""
    if excess > 1.0:
        return max(min(1.2 * excess, (room / SPARE) ** (1.0 / GROWTH), LARGEST_STEP), 1.0)
    # Too large a file that loses less than it may: as much dearer as either permits.
    return min(max(0.8 * excess, room / SPARE, 1.0 / LARGEST_STEP), 1.0) if room < 1.0 else 1.0
