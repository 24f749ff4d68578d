"""How files of unknown origin may be opened: which formats, and nothing that leads to other files."""

from __future__ import annotations

# Real containers only: no playlists, scripts or picture sequences, which could make FFmpeg open other files.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,mxf,flv,ogg,asf,obu,ivf"
OPEN_OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}

# Photos: what Pillow reads among them, by its own names (JPEG includes MPO), and what `artifacts.heif` reads.
PILLOW_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF")
HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".avif"}) | HEIF_SUFFIXES
