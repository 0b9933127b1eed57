"""Text: spelling, language models, and the search from frames of letters to words."""
