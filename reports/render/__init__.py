"""Renderers: one table as text, Markdown or LaTeX, and figures as JSON."""
