"""The composed deployment of docker/compose.yaml, as a whole."""
