"""Processes of which nothing is left running, however their parent ends."""
