"""Compiles every kernel of the project for this processor: `python -m reconstruction_pipeline.warmup`.

Part of the set-up, so that the first scene does not wait for it. What is compiled already is left alone.
"""

from __future__ import annotations

import time


def compile_everything() -> float:
    """Compile the shared kernels and those of depth and mesh; returns the seconds it took."""
    from reconstruction_pipeline.kernels import warmup as shared
    from reconstruction_pipeline.stages.depth import warmup as depth
    from reconstruction_pipeline.stages.mesh import warmup as mesh

    started = time.perf_counter()
    for part in (shared, depth, mesh):
        part.compile_all()
    return time.perf_counter() - started


if __name__ == "__main__":
    print(f"kernels compiled in {compile_everything():.0f} s")
