"""The base class of every typed value that is written to disk."""

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """A part of a record: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
