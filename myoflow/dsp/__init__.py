"""Kernels: the numpy and numba arithmetic behind host stages."""
