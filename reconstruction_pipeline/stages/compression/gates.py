"""Whether a compressed scene may be delivered in place of the PLY."""

from __future__ import annotations

from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.compression.fidelity import Fidelity
from reconstruction_pipeline.stages.compression.settings import CompressionSettings


def decode_gate(expected: int, decoded: int | None, problem: str = "") -> Gate:
    """Whether scene.sog reads back with every splat."""
    passed = decoded == expected
    message = f"scene.sog decodes with {decoded} of {expected} splats."
    if decoded is None:
        message = f"scene.sog does not decode: {problem}"
    return Gate("sog_decodes", passed, "warn", message, advice="Deliver scene.ply instead and report this file.")


def loss_gate(fidelity: Fidelity, settings: CompressionSettings) -> Gate:
    """PSNR lost at held-out views."""
    limit = settings.max_loss_db
    message = (
        f"scene.sog renders {fidelity.decoded_db:.2f} dB at {fidelity.views} held-out views, scene.ply "
        f"{fidelity.reference_db:.2f} dB: a loss of {fidelity.loss_db:.3f} dB (limit {limit} dB)."
    )
    advice = "Give the palette more entries, or deliver scene.ply."
    return Gate("sog_psnr_loss_db", fidelity.loss_db <= limit, "warn", message, fidelity.loss_db, limit, advice)


def ratio_gate(ratio: float, settings: CompressionSettings) -> Gate:
    """Size of the PLY over that of the SOG."""
    message = f"scene.sog is {ratio:.1f} times smaller than scene.ply (at least {settings.min_ratio:g} expected)."
    advice = "Lower the palette; a scene of a few thousand splats cannot reach it."
    return Gate("sog_ratio", ratio >= settings.min_ratio, "warn", message, ratio, settings.min_ratio, advice)
