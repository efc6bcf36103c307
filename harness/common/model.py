"""The base of every typed fact that is written to disk."""

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """A part of a record: frozen, and closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
