"""Numbers for people."""

from __future__ import annotations

import math

ACRONYMS = {"psnr", "ssim", "sog", "spz", "ply", "glb", "obj", "sh"}


def duration(seconds: float | None) -> str:
    """`0.4 s`, `38 s`, `4 min 12 s`, `1 h 05 min`."""
    if seconds is None:
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def clock(seconds: float) -> tuple[str, str]:
    """A short figure and its unit: ("38", "s"), ("4:12", "min"), ("1:05", "h")."""
    whole = round(seconds)
    if whole < 60:
        return str(whole), "s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}", "min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}", "h"


def size(count: float | None) -> str:
    """Bytes in decimal units: `812 B`, `14 kB`, `3.1 MB`."""
    if count is None:
        return "–"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor * 0.9995:
            value = count / factor
            return f"{value:.1f} {unit}" if value < 99.95 else f"{value:,.0f} {unit}"
    return f"{count:.0f} B"


def number(value: float | None) -> str:
    """Whole numbers with separators, others with three significant digits."""
    if value is None or not math.isfinite(value):
        return "–"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:.{min(digits, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def plural(count: float, noun: str) -> str:
    """`1 warning`, `3 warnings`."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def listed(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def sentence_case(name: str) -> str:
    """`registered_ratio` -> `Registered ratio`, `sog_psnr` -> `SOG PSNR`."""
    words = [word.upper() if word in ACRONYMS else word for word in name.strip("_").split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])
