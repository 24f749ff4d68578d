"""A whole line of stand-ins by the process executor, in this process's children: `python -m … FOLDER`.

Those import this module too, and so it imports no more than Dagster.
"""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg

from reconstruction_pipeline.orchestration.names import JOB, VIDEOS


def job() -> dg.JobDefinition:
    """The job of the definitions with stand-ins."""
    from reconstruction_pipeline_tests.orchestration.site.location import defs

    return defs.get_repository_def().get_job(JOB)


def main(folder: Path) -> None:
    """Register a video and run the line."""
    from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
    from reconstruction_pipeline.settings import load_settings, use_dagster_home
    from reconstruction_pipeline_tests.orchestration.site import one_run  # by its name, for its children
    from reconstruction_pipeline_tests.stages.captures import sliding_frames, write_video

    settings = load_settings()
    use_dagster_home(settings)
    Catalog(settings.storage).register(Entry("walk", str(write_video(folder / "walk.mp4", sliding_frames(20)))))
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(VIDEOS, ["walk"])
        config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        tags = {"dagster/partition": "walk"}
        with dg.execute_job(dg.reconstructable(one_run.job), instance, run_config=config, tags=tags) as result:
            assert result.success


if __name__ == "__main__":
    main(Path(sys.argv[1]))
