"""Whether a delivered file may stand in for the PLY; the same questions for every format."""

from __future__ import annotations

from collections.abc import Sequence

from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.compression.fidelity import Fidelity
from reconstruction_pipeline.stages.compression.settings import CompressionSettings

DELIVER_PLY = "Deliver scene.ply instead and report this file."


def decode_gate(name: str, expected: int, decoded: int | None, problem: str = "") -> Gate:
    """Whether `scene.<name>` reads back with every splat."""
    message = f"scene.{name} decodes with {decoded} of {expected} splats."
    if decoded is None:
        message = f"scene.{name} does not decode: {problem}"
    return Gate(f"{name}_decodes", decoded == expected, "warn", message, advice=DELIVER_PLY)


def loss_gate(name: str, fidelity: Fidelity, settings: CompressionSettings) -> Gate:
    """PSNR lost at held-out views."""
    limit = settings.max_loss_db
    message = (
        f"scene.{name} renders {fidelity.decoded_db:.2f} dB at {fidelity.views} held-out views, scene.ply "
        f"{fidelity.reference_db:.2f} dB: a loss of {fidelity.loss_db:.3f} dB (limit {limit} dB)."
    )
    advice = "Give the palette more entries, or deliver scene.ply." if name == "sog" else DELIVER_PLY
    return Gate(f"{name}_psnr_loss_db", fidelity.loss_db <= limit, "warn", message, fidelity.loss_db, limit, advice)


def off_path_gate(name: str, fidelity: Fidelity, settings: CompressionSettings) -> Gate:
    """PSNR against the trained scene at views that nobody filmed."""
    value, limit = fidelity.off_path_db, settings.min_off_path_db
    message = f"Beside the path scene.{name} is {value:.1f} dB from scene.ply (at least {limit:g} expected)."
    return Gate(f"{name}_off_path_db", value >= limit, "warn", message, value, limit, DELIVER_PLY)


def levels_gate(level_db: Sequence[float], settings: CompressionSettings) -> Gate:
    """Whether the coarser levels of detail may stand in for the full scene from where they are shown."""
    worst, limit = min(level_db), settings.min_level_db
    message = (
        f"The {len(level_db)} coarser levels of the streamed scene are at least {worst:.1f} dB from the full one where "
        f"they are shown (at least {limit:g} expected)."
    )
    advice = "Deliver scene.sog instead, or make fewer levels."
    return Gate("streamed_levels_db", worst >= limit, "warn", message, worst, limit, advice)


def ratio_gate(ratio: float, settings: CompressionSettings) -> Gate:
    """Size of the PLY over that of the SOG."""
    message = f"scene.sog is {ratio:.1f} times smaller than scene.ply (at least {settings.min_ratio:g} expected)."
    advice = "Lower the palette; a scene of a few thousand splats cannot reach it."
    return Gate("sog_ratio", ratio >= settings.min_ratio, "warn", message, ratio, settings.min_ratio, advice)
