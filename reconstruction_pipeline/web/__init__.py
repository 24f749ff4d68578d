"""`reconstruct serve`: a page and an API for people without Dagster. Runs are Dagster's, and so is every state."""
