"""Answers: what models said of test examples, kept row by row, and what that is worth."""
