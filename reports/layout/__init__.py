"""The model of a table, its cells, numbers and escaping."""
