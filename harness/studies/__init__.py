"""Studies that measure in order to decide or to explain: search, gate of versions, rooflines, null tests."""
