"""The machine under test: fingerprint, conditions, interference, memory, devices."""
