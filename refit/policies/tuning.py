"""What a project may say about tuning: a space of hyperparameters and how many trials to spend on it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Dimension(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IntRange(_Dimension):
    """Whole numbers from `low` to `high`, both included."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    """Whether to search on a logarithmic scale."""


class FloatRange(_Dimension):
    """Numbers from `low` to `high`, both included."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    """Whether to search on a logarithmic scale."""


class Choice(_Dimension):
    """One of a few values."""

    kind: Literal["choice"] = "choice"
    options: tuple[bool | int | float | str | None, ...] = Field(min_length=1)


Dimension = Annotated[IntRange | FloatRange | Choice, Field(discriminator="kind")]


class Tuning(BaseModel):
    """A search over the hyperparameters of the project's estimator; needs the extra `refit[tune]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: dict[str, Dimension]
    """From a parameter's name, as `set_params` takes it (`model__max_depth`), to its dimension."""
    trials: int = Field(20, ge=1, le=10_000)
    """How many trials the whole study has, resumed runs included."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Tuning:
        for name, dimension in self.space.items():
            if not isinstance(dimension, Choice) and dimension.low > dimension.high:
                raise ValueError(
                    f"tuning.space[{name!r}] runs from {dimension.low} down to {dimension.high}: swap them"
                )
        return self
