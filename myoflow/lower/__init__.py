"""Lowering: torch modules into the forms that other runtimes take."""
