"""What joules of a record rest on: idle power, and how far a model may be off."""
