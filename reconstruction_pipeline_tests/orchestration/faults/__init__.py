"""What can go wrong where the pipeline is operated, done to it on purpose. `python -m` this runs all of it."""
