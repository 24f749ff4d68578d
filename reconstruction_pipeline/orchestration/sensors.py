"""Watches the upload folder and starts a run for every new or changed capture."""

import time

import dagster as dg

from reconstruction_pipeline.artifacts.errors import ReconstructionError, StageFailed
from reconstruction_pipeline.orchestration.admission import Admission
from reconstruction_pipeline.orchestration.ingesting import open_catalog
from reconstruction_pipeline.orchestration.jobs import reconstruct_video
from reconstruction_pipeline.orchestration.names import STAGES, videos
from reconstruction_pipeline.orchestration.operations.alerts import Alert, post
from reconstruction_pipeline.orchestration.refusals import Refusal, Refusals
from reconstruction_pipeline.orchestration.upload_memory import Memory
from reconstruction_pipeline.orchestration.uploads import Upload, find_uploads
from reconstruction_pipeline.settings import Settings, load_settings

MAX_RUNS_PER_TICK = 25
# Reading large files for their hash takes time, and Dagster gives a tick only so much.
MAX_SECONDS_PER_TICK = 20.0
READING_ATTEMPTS = 3


@dg.sensor(
    job=reconstruct_video,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="New or changed videos in the upload folder become partitions and runs; growing files wait.",
)
def video_uploads(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """One tick: add partitions and request runs for captures that are complete and readable.

    An unreadable file is refused with its sentence, once for every version of it, and makes no partition. Content
    that a video already has is not run again, whatever its file's date says. Uploads wait while the disk is full.
    """
    began, settings = time.monotonic(), load_settings()
    uploads = find_uploads(settings.uploads)
    memory, due = Memory.of(context.cursor, uploads, time.time())
    admission = Admission(context.instance, open_catalog(), settings)
    refusals = Refusals(settings.storage)
    requests: list[dg.RunRequest] = []
    refused: list[Refusal] = []
    for upload in due:
        if len(requests) >= MAX_RUNS_PER_TICK or time.monotonic() - began > MAX_SECONDS_PER_TICK:
            break  # what is left is due at the next tick
        if waits := admission.lacks_room(upload):
            context.log.warning(waits)
            break
        try:
            if request := admission.request(upload, context.log.info):
                requests.append(request)
            refusals.forget(upload.name)
        except ReconstructionError as error:
            refused.append(_refused(upload, str(error)))
        except OSError as error:
            if memory.failed_to_read(upload) < READING_ATTEMPTS:
                context.log.warning(f"{upload.name} cannot be read now: {error}")
                continue
            refused.append(_refused(upload, f"{upload.name}: cannot be read ({error}); check it and its permissions."))
        memory.dealt_with(upload)
    for refusal in refused:
        context.log.warning(f"{refusal.name} refused: {refusal.sentence}")
        refusals.record(refusal)
    _tell(context, settings, refused)
    added = videos.build_add_request([str(request.partition_key) for request in requests])
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"No new complete capture among {len(uploads)} in {settings.uploads}.",
        dynamic_partitions_requests=[added] if requests else [],
        cursor=memory.dumps(),
        asset_events=[_observation(refusal) for refusal in refused],
    )


def _refused(upload: Upload, sentence: str) -> Refusal:
    return Refusal(upload.name, upload.fingerprint, sentence)


def _observation(refusal: Refusal) -> dg.AssetObservation:
    """Shows a refusal among the events of `source_video`, where there is no partition to show it in."""
    metadata = {"refused": refusal.name, "sentence": refusal.sentence, "fingerprint": refusal.fingerprint}
    return dg.AssetObservation(STAGES[0], description=refusal.sentence, metadata=metadata)


def _tell(context: dg.SensorEvaluationContext, settings: Settings, refused: list[Refusal]) -> None:
    """Post refusals; they are recorded whether or not somebody hears of them, so that a tick does not fail by it."""
    if not (refused and settings.operation.webhook):
        return
    try:
        post(settings.operation.webhook, [Alert("upload_refused", item.name, item.sentence) for item in refused])
    except StageFailed as error:
        context.log.error(str(error))
