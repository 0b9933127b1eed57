"""Training: everything that a pipeline learns, from examples to weights."""
