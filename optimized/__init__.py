"""The same model made faster: one file per recipe."""
