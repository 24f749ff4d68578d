"""Dagster's side: assets, checks, storage adapters, sensors and jobs. Thin over the stages."""
