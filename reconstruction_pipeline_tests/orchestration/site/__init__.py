"""A deployment of real processes for tests: database, object store, code server, daemon, web server."""

import time

BEGAN = time.process_time()
"""Seconds of processor time that this process had taken before it came to a stand-in, or to a stage through one."""
