"""The gate: rules on changes, and the references that they compare with."""
