"""The verdict on a capture: is there anything to reconstruct in what was chosen, and what should be filmed anew?"""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.keyframes.analysis import Analysis
from reconstruction_pipeline.stages.keyframes.selection import Selection
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings
from reconstruction_pipeline.stages.keyframes.stretches import Kind, Stretch, listed, share

MOVE = "Film again and walk around the subject, keeping it in view; do not only turn on the spot."
LONGER = "Film 10 s or more."
SLOWER = "Move at half the speed, and let the camera settle before and after every turn."
LIGHT = "Move slower, or film in more light so that the exposure is short."
CONTENT = "Film a textured scene in good light, with nothing before the lens."
LARGEST_STEP = 0.35
# Parts of the video that may be weak before people are warned; shorter stretches are told all the same.
MOST_FAST, MOST_SOFT, MOST_BADLY_LIT, MOST_BARE = 0.15, 0.3, 0.2, 0.2


def video_gates(
    analysis: Analysis,
    selection: Selection,
    stretches: list[Stretch],
    blur: float,
    promised_s: float,
    settings: KeyframeSettings,
) -> list[Gate]:
    """Gates in the order people should read them; times are seconds of the video."""
    members = analysis.scene == selection.scene
    times = analysis.times[members]
    span = float(np.ptp(times)) * len(times) / max(len(times) - 1, 1)
    decoded_s = float(np.ptp(analysis.times)) * len(analysis.times) / max(len(analysis.times) - 1, 1)
    travel = float(np.ptp(analysis.progress[members]))
    content = _content(analysis, stretches)
    long_enough, enough = span >= settings.min_duration_s, len(times) >= settings.min_frames
    gates = [
        Gate("decodable", True, "block", f"{len(analysis.times)} frames decode.", len(analysis.times)),
        _complete(decoded_s, promised_s, analysis.errors),
        _one_scene(analysis, selection),
        Gate(
            "duration",
            long_enough,
            "block",
            f"The usable part lasts {span:.1f} s; at least {settings.min_duration_s:g} s are needed.",
            span,
            settings.min_duration_s,
            "" if long_enough else LONGER,
        ),
        Gate(
            "usable_frames",
            enough,
            "block",
            f"{len(times)} usable frames; at least {settings.min_frames} are needed.",
            len(times),
            settings.min_frames,
            "" if enough else LONGER,
        ),
        content,
    ]
    if content.passed:
        # Of what cannot be followed motion is not measured, and a still picture has no speed.
        gates.append(_motion(travel, stretches, settings))
    gates += [
        _parallax(analysis.parallax(selection.scene), stretches, settings),
        _sharp(blur, stretches, span, settings),
        _stretched(
            "speed", ("fast",), MOST_FAST, stretches, span,
            "the camera moves too fast", "The camera moves slowly enough.", SLOWER,
        ),
        _stretched(
            "exposure", ("dark", "burnt out"), MOST_BADLY_LIT, stretches, span,
            "the picture is too dark or burnt out", "The exposure is good throughout.",
            "Film in even light, keep lamps and windows out of the picture, and lock the exposure.",
        ),
        _stretched(
            "texture", ("textureless",), MOST_BARE, stretches, span,
            "there is no texture to follow", "There is texture to follow throughout.",
            "Keep textured things in view beside bare walls and glass, or put some there.",
        ),
        _overlap(analysis, selection),
    ]  # fmt: skip
    return gates


def _complete(decoded_s: float, promised_s: float, errors: int) -> Gate:
    share = min(decoded_s / promised_s, 1.0) if promised_s > 0 else 1.0
    whole = share >= 0.9 and errors == 0
    message = f"{decoded_s:.1f} of {promised_s:.1f} s decode" + (f", with {errors} damaged packets." if errors else ".")
    if not whole:
        message = f"The file is damaged or cut off: {message}"
    return Gate("complete", whole, "warn", message, share, 0.9, "" if whole else "Copy the file again from the camera.")


def _one_scene(analysis: Analysis, selection: Selection) -> Gate:
    scenes = int(analysis.scene.max()) + 1
    if scenes == 1:
        return Gate("one_scene", True, "warn", "One continuous scene.", 1, 1)
    return Gate(
        "one_scene",
        False,
        "warn",
        f"The video cuts between {scenes} scenes; only {_parts(analysis, True, selection.scene)} is used, not"
        f" {_parts(analysis, False, selection.scene)}.",
        scenes,
        1,
        "Film one scene in one take, or give each part as its own video.",
    )


def _parts(analysis: Analysis, used: bool, scene: int) -> str:
    """Times of the parts that belong to the scene, or of those that do not."""
    starts = np.flatnonzero(np.diff(analysis.scene, prepend=-1) != 0)
    ends = np.r_[starts[1:], len(analysis.scene)] - 1
    parts = [(a, b) for a, b in zip(starts, ends, strict=True) if (analysis.scene[a] == scene) == used]
    text = ", ".join(f"{analysis.times[a]:.1f}-{analysis.times[b]:.1f} s" for a, b in parts[:4])
    return text + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")


def _content(analysis: Analysis, stretches: list[Stretch]) -> Gate:
    """Black, flat or noise: nothing that could be matched."""
    samples = analysis.samples
    black, textured, followed = float(samples.black.mean()), float(samples.textured.mean()), samples.followed
    if black > 0.5:
        message = f"{100 * black:.0f} % of the frames are black or a flat colour."
        return Gate("content", False, "block", message, black, 0.5, CONTENT)
    if textured < 0.5:
        where = listed(stretches, "textureless", "dark")
        message = f"Only {100 * textured:.0f} % of the frames have texture that can be followed"
        message += f" (not {where})." if where else "."
        return Gate("content", False, "block", message, textured, 0.5, CONTENT)
    good = followed >= 0.5
    return Gate(
        "content",
        good,
        "block",
        f"{100 * followed:.0f} % of the frames can be followed from the one before.",
        followed,
        0.5,
        "" if good else "Noise or very fast movement: film slowly, in good light.",
    )


def _motion(travel: float, stretches: list[Stretch], settings: KeyframeSettings) -> Gate:
    good = travel >= settings.min_motion_fraction
    message = f"The picture moves by {100 * travel:.1f} % of its diagonal in all"
    still = listed(stretches, "static")
    message += ": the camera stands still." if not good else f"; at rest {still}, which adds nothing." if still else "."
    return Gate("not_static", good, "block", message, travel, settings.min_motion_fraction, "" if good else MOVE)


def _parallax(parallax: float | None, stretches: list[Stretch], settings: KeyframeSettings) -> Gate:
    if parallax is None:
        return Gate("parallax", True, "warn", "Too little movement between frames to measure parallax.", None, None)
    good = parallax >= settings.min_parallax
    turning = listed(stretches, "turning")
    message = f"{100 * parallax:.1f} % of the image motion cannot come from turning alone"
    message += "" if good else ": the camera seems to turn in place"
    message += f" ({'only turning' if good else 'above all'} at {turning})." if turning else "."
    return Gate("parallax", good, "warn", message, parallax, settings.min_parallax, "" if good else MOVE)


def _sharp(blur: float, stretches: list[Stretch], seconds: float, settings: KeyframeSettings) -> Gate:
    """Blurred throughout, which only an absolute measure sees, or for too long."""
    soft, where = share(stretches, "blurred", seconds), listed(stretches, "blurred")
    message = f"Median blur of the chosen frames is {blur:.2f} (0 sharp, 1 blurred)"
    message += f"; blurred against the rest: {where}." if where else "."
    if blur > settings.max_blur:
        message = f"The video is blurred throughout: the chosen frames have a median blur of {blur:.2f} (0 sharp,"
        message += f" 1 blurred; above {settings.max_blur:g} details are lost)."
        return Gate("sharp", False, "warn", message, blur, settings.max_blur, LIGHT)
    return Gate("sharp", soft <= MOST_SOFT, "warn", message, blur, settings.max_blur, LIGHT if where else "")


def _stretched(
    name: str,
    kinds: tuple[Kind, ...],
    most: float,
    stretches: list[Stretch],
    seconds: float,
    bad: str,
    fine: str,
    advice: str,
) -> Gate:
    """Fails when stretches of these kinds make up more than `most` of the video."""
    part = min(sum(share(stretches, kind, seconds) for kind in kinds), 1.0)
    where = listed(stretches, *kinds)
    message = f"In {100 * part:.0f} % of the video {bad}: {where}." if where else fine
    return Gate(name, part <= most, "warn", message, round(part, 4), most, advice if where else "")


def _overlap(analysis: Analysis, selection: Selection) -> Gate:
    good = selection.largest_gap <= LARGEST_STEP
    message = f"The picture moves by {100 * selection.window:.1f} % of its diagonal from keyframe to keyframe, at most"
    message += f" {100 * selection.largest_gap:.0f} %"
    if not good:
        widest = int(np.argmax(np.diff(analysis.progress[selection.chosen])))
        message += f", at {analysis.times[selection.chosen[widest]]:.1f} s"
    advice = "" if good else "Move slower there, or raise the number of keyframes."
    return Gate("overlap", good, "warn", f"{message}.", selection.largest_gap, LARGEST_STEP, advice)
