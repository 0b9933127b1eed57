"""Evaluation: what a finished run is asked afterwards."""
