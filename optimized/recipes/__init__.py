"""Recipes: one checkpoint becomes another."""
