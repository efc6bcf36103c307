"""The table model, how cells are built, number formats and escaping."""
