"""`python -m reconstruction_pipeline_tests.readers` installs them."""

from __future__ import annotations

from reconstruction_pipeline_tests.readers import install

print(f"The readers that tests compare with are in {install()}")
