"""Recipes: each transforms one checkpoint into another."""
