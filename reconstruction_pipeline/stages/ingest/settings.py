"""What the rest of the project may know of ingest without importing its decoders."""

from __future__ import annotations

GATES = (("photos_readable", "warn"),)
