"""Trackers that people already run: MLflow and Weights & Biases. Each library is imported when used."""
