"""Export of a prepared variant as a folder that serves it: the model, a copy of `serve.py`, and pages."""
