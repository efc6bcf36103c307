"""Plots with the data that they show: `plots_of` makes those that a report's records allow.

figures --selection--> data of one plot --its module--> Plot --drawing--> SVG, PNG, CSV
"""

from reports.plots.drawing import Plot, as_png, as_svg, data_csv
from reports.plots.selection import plots_of

__all__ = ["Plot", "as_png", "as_svg", "data_csv", "plots_of"]
