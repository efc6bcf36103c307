"""Samples become estimates, estimates become ratios, ratios become verdicts."""
