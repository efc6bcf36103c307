"""Plots, each with the data it shows: `plots_of` makes those that a report's records allow.

figures --chosen--> data of one plot --its module--> Plot --drawing--> SVG, PNG, CSV
"""

from reports.plots.chosen import plots_of
from reports.plots.drawing import Plot, as_png, as_svg, data_csv

__all__ = ["Plot", "as_png", "as_svg", "data_csv", "plots_of"]
