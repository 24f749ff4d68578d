"""A deployment of real processes for tests: database, object store, code server, daemon, web server."""
