"""Asset `quality_summary`, its job and its weekly schedule."""

import base64
import json
from datetime import UTC, datetime

import dagster as dg

from reconstruction_pipeline.orchestration.ingesting import open_catalog
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.names import HARDWARE_TAG, OPERATIONS, OWNERS, QUALITY_SUMMARY
from reconstruction_pipeline.orchestration.operations.charts import summary_picture
from reconstruction_pipeline.orchestration.operations.quality import (
    SceneRow,
    as_csv,
    failed_gate_counts,
    figures,
    scene_rows,
)
from reconstruction_pipeline.orchestration.retries import RETRIES

ROWS = 500
COLUMNS = dg.TableSchema(
    [
        dg.TableColumn("key", "string", "The video."),
        dg.TableColumn("grade", "string", "A to F."),
        dg.TableColumn("preset", "string"),
        dg.TableColumn("psnr_holdout_db", "float", "On views that training never saw, dB."),
        dg.TableColumn("ssim_holdout", "float"),
        dg.TableColumn("registered_ratio", "float", "Share of the keyframes with a pose."),
        dg.TableColumn("splats", "int"),
        dg.TableColumn("sog_bytes", "int"),
        dg.TableColumn("minutes", "float", "Of all stages together."),
        dg.TableColumn("fallbacks", "int", "Stages that did not get their first choice."),
        dg.TableColumn("warnings", "int"),
        dg.TableColumn("failed_gates", "string"),
        dg.TableColumn("sentence", "string", "Why the line stopped, if it did."),
        dg.TableColumn("reported_at", "string", "UTC."),
    ]
)


@dg.asset(
    name=QUALITY_SUMMARY,
    group_name=OPERATIONS,
    owners=OWNERS,
    kinds={"report"},
    tags={"domain": "operations"},
    code_version="1",
    retry_policy=RETRIES,
    op_tags={HARDWARE_TAG: "cpu"},
    metadata={"dagster/column_schema": COLUMNS},
)
def quality_summary(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Every scene in one table and one picture, the worst first; also in `<storage>/quality_summary/<week>/`."""
    store, keys = open_store(), open_catalog().keys()
    rows = sorted(scene_rows(store, keys), key=_worst_first)
    numbers = figures(rows, unreported=len(keys) - len(rows))
    picture = summary_picture(rows)
    folder = store.root / QUALITY_SUMMARY / f"{datetime.now(UTC):%G-W%V}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenes.csv").write_text(as_csv(rows))
    (folder / "summary.png").write_bytes(picture)
    (folder / "summary.json").write_text(json.dumps(numbers, indent=1))
    encoded = base64.b64encode(picture).decode()
    return dg.MaterializeResult(
        metadata={
            **numbers,
            "scene_table": dg.MetadataValue.table(records=[_record(row) for row in rows[:ROWS]], schema=COLUMNS),
            "failed_gates": dg.MetadataValue.json(dict(failed_gate_counts(rows))),
            "plots": dg.MetadataValue.md(f"![grades, quality, gates](data:image/png;base64,{encoded})"),
            "folder": dg.MetadataValue.path(str(folder)),
        }
    )


def _worst_first(row: SceneRow) -> tuple[bool, float, str]:
    """Stopped scenes, then by PSNR."""
    return row.grade != "F", row.psnr_holdout_db or 0.0, row.key


def _record(row: SceneRow) -> dg.TableRecord:
    texts = {"failed_gates": " ".join(row.failed_gates)}
    return dg.TableRecord(
        {column.name: texts.get(column.name, getattr(row, column.name)) for column in COLUMNS.columns}
    )


summarise_quality = dg.define_asset_job(
    "summarise_quality",
    selection=[quality_summary],
    description="Bring the summary of all scenes up to date.",
)

quality_weekly = dg.ScheduleDefinition(
    name="quality_weekly",
    job=summarise_quality,
    cron_schedule="0 6 * * 1",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Monday mornings: how good the scenes of all videos are.",
)
