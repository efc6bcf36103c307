"""The machine under test: its fingerprint, conditions, interference, memory and devices."""
