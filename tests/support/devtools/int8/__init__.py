"""The tables of docs/explanation/int8.md, each made by a command."""
