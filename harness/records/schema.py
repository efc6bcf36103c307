"""The JSON Schema of a record, generated from its pydantic model: `bench list --schema`.

It is published as results/record.schema.json, for programs that read records without this package.
"""

import json

from harness.common.json_types import JsonObject
from harness.records.record import SCHEMA_VERSION, Record


def schema() -> JsonObject:
    """Return the schema of a record of this version; earlier versions only lack optional fields."""
    generated = Record.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"fastformers-bench record, version {SCHEMA_VERSION}",
        "description": "One cell of one run; results/README.md describes each field.",
        **{name: value for name, value in generated.items() if name not in ("title", "description")},
    }


def schema_text() -> str:
    """Return the schema as the text of its file."""
    return json.dumps(schema(), indent=1) + "\n"
