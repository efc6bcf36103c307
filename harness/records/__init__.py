"""What is written to disk: values, the record, the plan, the journal and the store."""
