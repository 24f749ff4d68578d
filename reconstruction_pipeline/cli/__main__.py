"""`python -m reconstruction_pipeline.cli`."""

from reconstruction_pipeline.cli.main import main

main()
