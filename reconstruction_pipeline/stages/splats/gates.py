"""When a trained scene may go on: checks before and after training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.splats.state import CurveRow

MIN_POINTS = 1000
MIN_PSNR, GOOD_PSNR = 18.0, 22.0
MIN_BYTES = 100_000
SURE = 3.0
"""Standard errors of a difference from which it is none of chance."""
_FILM = "Film more slowly, with more overlap and even light."


def require_points(count: int) -> Gate:
    """At least 1000 initial points; StageFailed otherwise, because training would invent the scene."""
    if count < MIN_POINTS:
        raise StageFailed(
            f"Only {count} 3D points to start the splats from (at least {MIN_POINTS} are needed). {_FILM}"
        )
    return Gate("initial_points", True, "block", f"{count} initial points.", float(count), float(MIN_POINTS))


def loss_gates(curve: Sequence[CurveRow]) -> list[Gate]:
    """The loss fell within each resolution level: last third against first third of its rows.

    A row is the mean of a few views, and a level may begin where it can hardly be bettered. So a rise counts from three
    standard errors of the difference.
    """
    gates = []
    for level in sorted({row.level for row in curve}):
        losses = [row.loss for row in curve if row.level == level]
        third = len(losses) // 3
        if third < 1:
            continue
        before, after = float(np.mean(losses[:third])), float(np.mean(losses[-third:]))
        chance = SURE * float(np.sqrt((np.var(losses[:third]) + np.var(losses[-third:])) / third))
        fell = after < before or after - before < chance
        by_chance = f", by chance (up to {chance:.4f})" if fell and after >= before else ""
        gates.append(
            Gate(
                f"loss_fell_level_{level}",
                fell,
                "block",
                f"The training loss at resolution level {level} went from {before:.4f} to {after:.4f}{by_chance}.",
                after,
                before + chance,
                "" if fell else "Training diverged; try again with another seed or smaller learning rates.",
            )
        )
    return gates


def quality_gates(psnr: float, initial_psnr: float | None) -> list[Gate]:
    """Held-out PSNR: at least 18 dB, warned below 22, and above that of the initial Gaussians."""
    gates = [
        Gate(
            "psnr_holdout", psnr >= MIN_PSNR, "block",
            f"Held-out PSNR is {psnr:.2f} dB (at least {MIN_PSNR:.0f} is needed).", psnr, MIN_PSNR,
            "" if psnr >= MIN_PSNR else f"New views do not look like the pictures. {_FILM}",
        ),
        Gate(
            "psnr_holdout_good", psnr >= GOOD_PSNR, "warn",
            f"Held-out PSNR is {psnr:.2f} dB (good scenes reach {GOOD_PSNR:.0f}).", psnr, GOOD_PSNR,
            "" if psnr >= GOOD_PSNR else _FILM,
        ),
    ]  # fmt: skip
    if initial_psnr is not None:
        gates.append(
            Gate(
                "better_than_initial", psnr > initial_psnr, "block",
                f"Training took held-out PSNR from {initial_psnr:.2f} to {psnr:.2f} dB.", psnr, initial_psnr,
                "" if psnr > initial_psnr else "Training made the scene worse than its initial points.",
            )
        )  # fmt: skip
    return gates


def model_gates(gaussians: Gaussians, cap: int) -> list[Gate]:
    """All numbers finite, and no more Gaussians than the cap."""
    g = gaussians
    fields = (g.means, g.log_scales, g.quats, g.opacity_logits, g.sh)
    finite = all(bool(np.isfinite(field).all()) for field in fields)
    return [
        Gate("finite", finite, "block", "All parameters are finite." if finite else "Some parameters are not finite.",
             advice="" if finite else "Train again with another seed; this is a defect worth reporting."),
        Gate("count_within_cap", gaussians.count <= cap, "block",
             f"{gaussians.count} Gaussians, the cap is {cap}.", float(gaussians.count), float(cap)),
    ]  # fmt: skip


def memory_gate(cap: int, planned: int) -> Gate:
    """Memory was enough for as many Gaussians as were planned."""
    fits = cap >= planned
    return Gate(
        "cap_fits_memory", fits, "warn",
        f"Memory was enough for {cap} Gaussians, {planned} were planned.", float(cap), float(planned),
        "" if fits else "Use smaller pictures, or a machine with more memory, for more detail.",
    )  # fmt: skip


def file_gate(size: int) -> Gate:
    """The written model is more than 100 kB."""
    return Gate(
        "model_size", size > MIN_BYTES, "block", f"scene.ply has {size} bytes (more than {MIN_BYTES} expected).",
        float(size), float(MIN_BYTES), "" if size > MIN_BYTES else f"Almost nothing was reconstructed. {_FILM}",
    )  # fmt: skip


def checkpoint_gate(same: bool) -> Gate:
    """The written scene reads back as it was."""
    return Gate("scene_loads", same, "block",
                "scene.ply reads back as written." if same else "scene.ply does not read back as written.",
                advice="" if same else "Check the disk.")  # fmt: skip
