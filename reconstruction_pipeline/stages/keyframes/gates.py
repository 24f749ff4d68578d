"""The verdict on a capture: is there anything to reconstruct in what was chosen?"""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.keyframes.analysis import Analysis
from reconstruction_pipeline.stages.keyframes.selection import Selection
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings

MOVE = "Film again and walk around the subject, keeping it in view; do not only turn on the spot."
LARGEST_STEP = 0.35


def video_gates(
    analysis: Analysis, selection: Selection, blur: float, promised_s: float, settings: KeyframeSettings
) -> list[Gate]:
    """Gates in the order people should read them; times are seconds of the video."""
    members = analysis.scene == selection.scene
    times = analysis.times[members]
    span = float(np.ptp(times)) * len(times) / max(len(times) - 1, 1)
    decoded_s = float(np.ptp(analysis.times)) * len(analysis.times) / max(len(analysis.times) - 1, 1)
    travel = float(np.ptp(analysis.progress[members]))
    content = _content(analysis)
    return [
        Gate("decodable", True, "block", f"{len(analysis.times)} frames decode.", len(analysis.times)),
        _complete(decoded_s, promised_s, analysis.errors),
        _one_scene(analysis, selection, times),
        Gate(
            "duration",
            span >= settings.min_duration_s,
            "block",
            f"The usable part lasts {span:.1f} s; at least {settings.min_duration_s:g} s are needed.",
            span,
            settings.min_duration_s,
            "" if span >= settings.min_duration_s else "Film 10 s or more.",
        ),
        Gate(
            "usable_frames",
            len(times) >= settings.min_frames,
            "block",
            f"{len(times)} usable frames; at least {settings.min_frames} are needed.",
            len(times),
            settings.min_frames,
            "" if len(times) >= settings.min_frames else "Film 10 s or more.",
        ),
        content,
        # Motion of what cannot be followed is not measured, so nothing is said of it.
        *([_motion(travel, settings)] if content.passed else []),
        _parallax(analysis, settings),
        Gate(
            "sharp",
            blur <= settings.max_blur,
            "warn",
            f"Median blur of the chosen frames is {blur:.2f} (0 sharp, 1 blurred).",
            blur,
            settings.max_blur,
            "" if blur <= settings.max_blur else "Move slower, or film in more light so that the exposure is short.",
        ),
        Gate(
            "overlap",
            selection.window <= LARGEST_STEP,
            "warn",
            f"The picture moves by {100 * selection.window:.0f} % of its diagonal from keyframe to keyframe.",
            selection.window,
            LARGEST_STEP,
            "" if selection.window <= LARGEST_STEP else "Raise the number of keyframes, or film a shorter path.",
        ),
    ]


def _complete(decoded_s: float, promised_s: float, errors: int) -> Gate:
    share = min(decoded_s / promised_s, 1.0) if promised_s > 0 else 1.0
    whole = share >= 0.9 and errors == 0
    message = f"{decoded_s:.1f} of {promised_s:.1f} s decode" + (f", with {errors} damaged packets." if errors else ".")
    return Gate("complete", whole, "warn", message, share, 0.9, "" if whole else "Copy the file again from the camera.")


def _one_scene(analysis: Analysis, selection: Selection, times: np.ndarray) -> Gate:
    scenes = int(analysis.scene.max()) + 1
    if scenes == 1:
        return Gate("one_scene", True, "warn", "One continuous scene.", 1, 1)
    others = [analysis.times[analysis.scene == s] for s in range(scenes) if s != selection.scene]
    listed = ", ".join(f"{o[0]:.1f}-{o[-1]:.1f} s" for o in others[:4] if len(o))
    return Gate(
        "one_scene",
        False,
        "warn",
        f"The video cuts between {scenes} scenes; only {times[0]:.1f}-{times[-1]:.1f} s is used, not {listed}.",
        scenes,
        1,
        "Film one scene in one take, or give each part as its own video.",
    )


def _content(analysis: Analysis) -> Gate:
    """Black, flat or noise: nothing that could be matched."""
    if analysis.dark > 0.5:
        message = f"{100 * analysis.dark:.0f} % of the frames are black or a flat colour."
        return Gate("content", False, "block", message, analysis.dark, 0.5, "Film a textured scene in good light.")
    if analysis.textured < 0.5:
        message = f"Only {100 * analysis.textured:.0f} % of the frames have texture that can be followed."
        return Gate("content", False, "block", message, analysis.textured, 0.5, "Film a textured scene in good light.")
    good = analysis.trackable >= 0.5
    return Gate(
        "content",
        good,
        "block",
        f"{100 * analysis.trackable:.0f} % of the frames can be followed from the one before.",
        analysis.trackable,
        0.5,
        "" if good else "Noise or very fast movement: film slowly, in good light.",
    )


def _motion(travel: float, settings: KeyframeSettings) -> Gate:
    good = travel >= settings.min_motion_fraction
    message = f"The picture moves by {100 * travel:.1f} % of its diagonal in all"
    message += "." if good else ": the camera stands still."
    return Gate("not_static", good, "block", message, travel, settings.min_motion_fraction, "" if good else MOVE)


def _parallax(analysis: Analysis, settings: KeyframeSettings) -> Gate:
    if analysis.parallax is None:
        return Gate("parallax", True, "warn", "Too little movement between frames to measure parallax.", None, None)
    good = analysis.parallax >= settings.min_parallax
    message = f"{100 * analysis.parallax:.1f} % of the image motion cannot come from turning alone"
    message += "." if good else ": the camera seems to turn in place."
    return Gate("parallax", good, "warn", message, analysis.parallax, settings.min_parallax, "" if good else MOVE)
