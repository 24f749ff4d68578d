"""One function per part of the page: artifacts in, a `Section` out (None when there is nothing of it)."""
