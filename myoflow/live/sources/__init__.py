"""Sources of live signals, one a file, found by name; other packages add theirs by the entry point of this folder."""
