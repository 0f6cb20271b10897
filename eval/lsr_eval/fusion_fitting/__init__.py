"""Fusion of runs, and fitting it to judgments."""
