"""The JSON Schema of the record, made from the model that reads it: `bench list --schema`.

It is published as results/record.schema.json, for programs that read records without this package.
"""

import json
from typing import Any

from harness.records.record import SCHEMA_VERSION, Record


def schema() -> dict[str, Any]:
    """Return the schema of a record of this version; records of earlier ones lack optional fields only."""
    made = Record.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"fastformers-bench record, version {SCHEMA_VERSION}",
        "description": "One cell of one run; results/README.md says what each field means.",
        **{name: value for name, value in made.items() if name not in ("title", "description")},
    }


def schema_text() -> str:
    """Return the schema as its file holds it."""
    return json.dumps(schema(), indent=1) + "\n"
