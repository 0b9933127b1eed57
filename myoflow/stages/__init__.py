"""Stages: one noun per file; a stage is a frozen attrs class whose fields are its YAML keys."""
