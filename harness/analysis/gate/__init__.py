"""Rules over comparisons, and the references they compare with."""
