"""Data: from raw files to a store, and from a store to filtered signals and windows."""
