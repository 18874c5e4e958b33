"""The definition of a project: one model, its data and its policies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from refit.errors import ProjectError
from refit.policies.gate import CLASS_METRICS, NUMBER_METRICS, GatePolicy
from refit.policies.monitoring import MonitoringPolicy
from refit.policies.training import (
    ContractPolicy,
    DeploymentPolicy,
    IngestionPolicy,
    NotificationPolicy,
    Schedule,
    ServingPolicy,
    TrainingPolicy,
)
from refit.windows import Window, format_duration

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from sklearn.base import BaseEstimator

    Frame: TypeAlias = pd.DataFrame | pa.Table | pa.RecordBatch
else:  # pydantic evaluates the annotations, and no command that reads the record alone should wait for engines
    BaseEstimator = Frame = Any
Rows: TypeAlias = Frame | Iterable[Frame]
"""The result of a load: one frame, or an iterator of frames that are read one after the other."""

Kind = Literal["classification", "regression"]


RESERVED_SUFFIXES = ("__quarantine", "__predictions", "__labels")
"""The suffixes of a project's other tables: no project's name ends with one, or two projects would share a table."""


class Project(BaseModel):
    """The definition of one model, assigned to `project` in a project file.

    Example:
        >>> import pandas as pd
        >>> from sklearn.dummy import DummyRegressor
        >>> project = Project(
        ...     name="rentals", kind="regression", target="rentals", timestamp="observed_at",
        ...     load=lambda window: pd.DataFrame(), build=DummyRegressor,
        ... )
        >>> project.training.window
        'auto'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    """The project's name in flows, on the command line and in the registry: lower-case letters, digits and underscores,
    at most 63 characters, without an ending of `RESERVED_SUFFIXES`."""
    kind: Kind
    """Whether the target is a class or a number."""
    target: str = Field(min_length=1)
    """The column to predict; missing in rows whose label has not arrived yet."""
    timestamp: str = Field(min_length=1)
    """The column of event times, with a time zone."""
    load: Callable[[Window], Rows]
    """Returns the rows whose event time lies in the window."""
    build: Callable[[], BaseEstimator]
    """Returns the unfitted estimator; it is fitted on a frame with the features as columns."""
    key: tuple[str, ...] = ()
    """The columns that identify a row. With a key, late and corrected rows update the table; without one, an ingest
    replaces the part of the load window that it loads again."""
    features: tuple[str, ...] | None = None
    """The columns that the estimator is fitted on; by default all but the target, the timestamp, the key and `pii`."""
    pii: tuple[str, ...] = ()
    """The columns that identify a person, such as a name or an address. They are never features, and their values are
    stored in the tables only: not in models, logs, messages or responses. They may be part of the key."""
    description: str = ""
    """A one-sentence description; by default the first line of the project file's docstring."""
    expectations: Callable[[], list[Any]] | None = None
    """Returns the data contract as Great Expectations objects; by default a contract is derived from the reference
    data."""
    label_delay: timedelta = Field(timedelta(0), ge=timedelta(0))
    """The time from an event until its label is known."""
    file: Path | None = None
    """The project file; set by discovery."""
    trusted_types: tuple[str, ...] = ()
    """Full names of types that a stored model of this project may contain, in addition to the built-in allow-list."""
    ingestion: IngestionPolicy = IngestionPolicy()
    contract: ContractPolicy = ContractPolicy()
    training: TrainingPolicy = TrainingPolicy()
    gate: GatePolicy = GatePolicy()
    monitoring: MonitoringPolicy = MonitoringPolicy()
    serving: ServingPolicy = ServingPolicy()
    schedule: Schedule = Schedule()
    deployment: DeploymentPolicy = DeploymentPolicy()
    notifications: NotificationPolicy = NotificationPolicy()

    @field_validator("name")
    @classmethod
    def _name_is_no_table_of_another(cls, name: str) -> str:
        for suffix in RESERVED_SUFFIXES:
            if name.endswith(suffix):
                other = name.removesuffix(suffix)
                raise ValueError(
                    f"the name {name!r} is that of a table of the project {other!r}, and both would share it: choose "
                    f"a name that does not end with {suffix}"
                )
        return name

    @model_validator(mode="after")
    def _roles_are_distinct(self) -> Project:
        if self.target == self.timestamp:
            raise ValueError(f"target and timestamp are both {self.target!r}: use two different columns")
        if self.target in self.key:
            raise ValueError(
                f"the target {self.target!r} cannot be part of the key, since labels arrive later: take it out of key"
            )
        if self.target in (self.features or ()):
            raise ValueError(f"the target {self.target!r} cannot be a feature: take it out of features")
        return self

    @model_validator(mode="after")
    def _metric_fits_the_kind(self) -> Project:
        metric, classes = self.gate.metric, self.kind == "classification"
        if metric in (NUMBER_METRICS if classes else CLASS_METRICS):
            compared, usual = ("numbers", "roc_auc") if classes else ("classes", "neg_mean_absolute_error")
            raise ValueError(
                f"gate.metric is {metric!r}, which compares {compared}, but kind is {self.kind!r}: use one such as "
                f"{usual}, or correct the kind"
            )
        return self

    @model_validator(mode="after")
    def _rows_outlive_the_lookback(self) -> Project:
        keep = self.ingestion.keep
        if keep is not None and keep <= self.lookback:
            raise ValueError(
                f"ingestion.keep is {format_duration(keep)}, but each ingest reloads the last "
                f"{format_duration(self.lookback)}: set it to a longer time"
            )
        return self

    @model_validator(mode="after")
    def _pii_has_no_other_role(self) -> Project:
        fairness = (self.gate.fairness.column,) if self.gate.fairness else ()
        uses = {
            "the target": (self.target,),
            "the timestamp": (self.timestamp,),
            "a feature": self.features or (),
            "in gate.slices, whose values are shown in verdicts": self.gate.slices or (),
            "the column of gate.fairness, whose values are shown in verdicts": fairness,
        }
        for use, names in uses.items():
            if found := sorted(set(self.pii) & set(names)):
                raise ValueError(f"column {found[0]!r} is in pii, so it cannot be {use}: remove it from one of the two")
        return self

    @property
    def lookback(self) -> timedelta:
        """The span of event time that each ingest reloads: `ingestion.lateness` plus the label delay."""
        return self.ingestion.lateness + self.label_delay

    def features_of(self, columns: Iterable[str]) -> list[str]:
        """Returns the columns that the estimator is fitted on; never a column of `pii`.

        Args:
            columns: All columns of the table, in its order.

        Returns:
            The project's `features` if it has them, else all columns without a role, in the table's order.
        """
        if self.features is not None:
            return list(self.features)
        roles = {self.target, self.timestamp, *self.key, *self.pii}
        return [column for column in columns if column not in roles]


def require_key(project: Project, consequence: str) -> None:
    """Requires that a project has a key.

    Args:
        project: The project.
        consequence: What is impossible without a key, such as `labels cannot be matched to rows`.

    Raises:
        ProjectError: If the project has no key.
    """
    if not project.key:
        raise ProjectError(
            f"project {project.name!r} has no key, so {consequence}: set the key in the project file, such as "
            f"key=('id',)"
        )
