"""The definition of one model: everything that Refit needs to keep it right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from refit.policies.gate import GatePolicy
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
from refit.windows import Window

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from sklearn.base import BaseEstimator

    Frame: TypeAlias = pd.DataFrame | pa.Table | pa.RecordBatch
else:  # pydantic evaluates the annotations, and no command that reads the record alone should wait for engines
    BaseEstimator = Frame = Any
Rows: TypeAlias = Frame | Iterable[Frame]
"""What a load may give: one frame, or an iterator of frames that are read one after the other."""

Kind = Literal["classification", "regression"]


class Project(BaseModel):
    """One model's definition, the value `project` of a project file.

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
    """What flows, the command line and the registry call it: lower case letters, digits and underscores."""
    kind: Kind
    """Whether the target is a class or a number."""
    target: str = Field(min_length=1)
    """The column to predict; it may be missing in rows whose label has not arrived yet."""
    timestamp: str = Field(min_length=1)
    """The column of event times, with a time zone."""
    load: Callable[[Window], Rows]
    """Gives the rows whose event time lies in the window."""
    build: Callable[[], BaseEstimator]
    """Gives the unfitted estimator; it takes a frame with the features as columns."""
    key: tuple[str, ...] = ()
    """The columns that name a row. With a key, late and corrected rows find their place; without one, an ingest
    replaces the load window that it covers again."""
    features: tuple[str, ...] | None = None
    """The columns the estimator sees; by default all but the target, the timestamp, the key and `pii`."""
    pii: tuple[str, ...] = ()
    """The columns that identify a person, such as a name or an address: never features, and their values are in the
    tables alone, in no model, log, message or answer. They may be part of the key."""
    description: str = ""
    """One sentence for people; by default the first line of the project file's docstring."""
    expectations: Callable[[], list[Any]] | None = None
    """The data contract as Great Expectations objects; by default one is derived from the reference data."""
    label_delay: timedelta = Field(timedelta(0), ge=timedelta(0))
    """How long after the event its label is known."""
    file: Path | None = None
    """The project file; discovery fills it in."""
    trusted_types: tuple[str, ...] = ()
    """Full names of types of your own that a stored model of this project may hold, beside the ones Refit allows."""
    ingestion: IngestionPolicy = IngestionPolicy()
    contract: ContractPolicy = ContractPolicy()
    training: TrainingPolicy = TrainingPolicy()
    gate: GatePolicy = GatePolicy()
    monitoring: MonitoringPolicy = MonitoringPolicy()
    serving: ServingPolicy = ServingPolicy()
    schedule: Schedule = Schedule()
    deployment: DeploymentPolicy = DeploymentPolicy()
    notifications: NotificationPolicy = NotificationPolicy()

    @model_validator(mode="after")
    def _roles_are_distinct(self) -> Project:
        if self.target == self.timestamp:
            raise ValueError(f"target and timestamp are both {self.target!r}: they must be two columns")
        if self.target in self.key:
            raise ValueError(f"the target {self.target!r} cannot be part of the key: a label may arrive later")
        if self.target in (self.features or ()):
            raise ValueError(f"the target {self.target!r} cannot be a feature: take it out of features")
        return self

    @model_validator(mode="after")
    def _rows_are_kept_while_they_may_come_again(self) -> Project:
        keep = self.ingestion.keep
        if keep is not None and keep <= self.lookback:
            raise ValueError(
                f"ingestion.keep is {keep}, and each ingest loads the last {self.lookback} again: keep rows for longer"
            )
        return self

    @model_validator(mode="after")
    def _persons_stay_in_the_tables(self) -> Project:
        fairness = (self.gate.fairness.column,) if self.gate.fairness else ()
        uses = {
            "the target": (self.target,),
            "the timestamp": (self.timestamp,),
            "a feature": self.features or (),
            "a slice of the gate, whose values stand in verdicts": self.gate.slices or (),
            "the column of gate.fairness, whose values stand in verdicts": fairness,
        }
        for use, names in uses.items():
            if found := sorted(set(self.pii) & set(names)):
                raise ValueError(f"{found[0]!r} is in pii and so cannot be {use}: take it out of one of both")
        return self

    @property
    def lookback(self) -> timedelta:
        """How far back before the last ingested event time an ingest loads again."""
        return self.ingestion.lateness + self.label_delay

    def features_of(self, columns: Iterable[str]) -> list[str]:
        """Names the columns that the estimator sees; none of a person is among them.

        Args:
            columns: All columns of the table, in its order.

        Returns:
            The project's own list where it has one, else all columns without a role, in the table's order.
        """
        if self.features is not None:
            return list(self.features)
        roles = {self.target, self.timestamp, *self.key, *self.pii}
        return [column for column in columns if column not in roles]
