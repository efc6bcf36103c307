"""The variance model: what a mean over rounds, launches and runs is uncertain by."""
