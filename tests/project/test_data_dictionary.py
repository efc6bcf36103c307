import dataclasses
import re
from pathlib import Path

import pytest

from harness.measurement.energy.check import MeterCheck, ZoneCheck
from harness.records import facts, record
from harness.records.estimate import Estimate
from harness.records.reading import Reading
from harness.records.record import FrozenModel, Round

PAGE = (Path(__file__).parents[2] / "results" / "README.md").read_text(encoding="utf-8")
PARTS = {
    kind.__name__: set(kind.model_fields)
    for kind in FrozenModel.__subclasses__()
    if kind.__module__ in (record.__name__, facts.__name__)
}
PLAIN = {
    kind.__name__: {field.name for field in dataclasses.fields(kind)}
    for kind in (Estimate, Reading, Round, MeterCheck, ZoneCheck)
}


@pytest.mark.parametrize(("part", "fields"), (PARTS | PLAIN).items())
def test_every_field_of_the_record_is_in_the_data_dictionary_and_no_other(
    part: str, fields: set[str]
) -> None:
    """Each part has a section with a row of three filled cells per field."""
    (section,) = re.findall(rf"^## {part}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", section, re.MULTILINE)
    assert {name for name, _, _ in rows} == fields
    assert all(meaning.strip() and absent.strip() for _, meaning, absent in rows)
