"""Automation: what follows by itself when something was made anew, and only where its gates passed.

Off until its sensor is turned on. Uploads need none of it, as their runs go from the capture to the report; it is
for changes in the middle, such as poses that were estimated anew for many videos.
"""

import dagster as dg

from reconstruction_pipeline.orchestration.names import GROUP

# Blocking checks stop only their own run; `eager()` alone would build on a video whose gate has failed.
AFTER_PASSED_GATES = (
    dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()
).with_label("after_passed_gates")

repropagate = dg.AutomationConditionSensorDefinition(
    "repropagate",
    target=dg.AssetSelection.groups(GROUP),
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Runs what depends on an asset that was made anew, if every blocking gate before it passed.",
)
