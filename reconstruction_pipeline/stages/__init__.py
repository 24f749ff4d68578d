"""The craft, free of Dagster: one package per stage, each with one obvious entry function."""
