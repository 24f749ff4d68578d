"""How a video file of unknown origin may be opened."""

from __future__ import annotations

# Real containers only: no playlists, scripts or picture sequences, which could make FFmpeg open other files.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,mxf,flv,ogg,asf,obu,ivf"
OPEN_OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
