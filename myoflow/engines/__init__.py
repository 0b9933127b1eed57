"""Engines: what executes a segment of a pipeline; they know Specs, kernels and modules, never a stage by name."""
