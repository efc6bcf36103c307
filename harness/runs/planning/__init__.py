"""What will be measured, checked and written to disk before a clock starts."""
