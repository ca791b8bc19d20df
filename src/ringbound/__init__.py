"""Ringbound turns notebooks into a production ML system and closes the loop.

What notebooks use is listed here, in `PUBLIC`, and can be imported from `ringbound` itself. Each name is loaded when it
is asked for: a service that needs features alone loads features alone.
"""

import importlib
from typing import Any

PUBLIC: dict[str, tuple[str, ...]] = {
    "ringbound.batch.score": ("score",),
    "ringbound.compute.engines": ("open_engine",),
    "ringbound.data.contract": ("clean_tables", "part_rows", "write_clean"),
    "ringbound.data.coverage": ("coverage_table",),
    "ringbound.data.drift": ("drift_table",),
    "ringbound.data.files": ("Files",),
    "ringbound.data.http": ("HttpJson",),
    "ringbound.data.ingest": ("Table", "ingest"),
    "ringbound.data.profile": ("constraint_report", "profile", "write_profile"),
    "ringbound.data.provenance": ("Provenance",),
    "ringbound.data.sql": ("Sql",),
    "ringbound.data.tables": ("read_table",),
    "ringbound.data.times": ("to_utc",),
    "ringbound.display.figures": ("Plot",),
    "ringbound.evaluation.ablation": ("evaluate_without", "fit_beside"),
    "ringbound.evaluation.answers": ("write_evaluation",),
    "ringbound.evaluation.calibration": ("calibration_check",),
    "ringbound.evaluation.card": ("model_card",),
    "ringbound.evaluation.coverage": ("interval_table",),
    "ringbound.evaluation.decisions": ("decision_table",),
    "ringbound.evaluation.drift": ("answer_drift",),
    "ringbound.evaluation.effects": ("effect_table",),
    "ringbound.evaluation.importance": ("importance_table",),
    "ringbound.evaluation.ladder": ("evaluate_ladder",),
    "ringbound.evaluation.months": ("judged_months", "month_table"),
    "ringbound.evaluation.slices": ("bias_table", "slice_table", "slices_of"),
    "ringbound.evaluation.unlabelled": ("unlabelled_table",),
    "ringbound.feedback.source": ("Feedback",),
    "ringbound.features.clock": ("local_clock",),
    "ringbound.features.columns": ("Category", "Reference"),
    "ringbound.features.definition": ("FeatureSet",),
    "ringbound.features.events": ("EventSource",),
    "ringbound.features.frames": ("columns_of",),
    "ringbound.features.lateness": ("lateness_table",),
    "ringbound.features.offline": ("EventTables", "compute_features"),
    "ringbound.features.request": ("Field",),
    "ringbound.features.view": ("view",),
    "ringbound.models.bundle": ("load_bundle",),
    "ringbound.models.candidates": ("Candidate", "fit_linear", "fit_trees", "follow_trees"),
    "ringbound.models.ladder": ("try_ladder", "write_model"),
    "ringbound.models.selection": ("Budget", "search_models"),
    "ringbound.monitoring.faults": ("Fault", "try_faults"),
    "ringbound.monitoring.learn": ("learn_profile",),
    "ringbound.monitoring.metrics": ("monitor_metrics",),
    "ringbound.monitoring.quiet": ("quiet_years",),
    "ringbound.monitoring.replay": ("replay_months",),
    "ringbound.monitoring.budget": ("AlarmBudget",),
    "ringbound.problem.declaration": ("Problem",),
    "ringbound.problem.outcome": ("EventOutcome",),
    "ringbound.problem.classification": ("Classification", "Ranking"),
    "ringbound.problem.multiclass": ("Multiclass",),
    "ringbound.problem.numbers": ("Count", "Regression"),
    "ringbound.problem.task": ("Costs",),
    "ringbound.problem.training": ("read_training_table", "split_by_month", "with_features", "write_training_table"),
    "ringbound.release.gates": ("Gates",),
    "ringbound.serving.bento": ("build_bento",),
    "ringbound.serving.examples": ("answer_examples",),
    "ringbound.serving.request": ("validate_rows",),
    "ringbound.simulation.money": ("Prices",),
    "ringbound.simulation.policy": ("policies_of",),
    "ringbound.simulation.run": ("Rules",),
    "ringbound.simulation.simulate": ("simulate",),
}
"""The public names, by the module that has them."""

_HOME = {name: module for module, names in PUBLIC.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _HOME:
        raise AttributeError(f"module 'ringbound' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
