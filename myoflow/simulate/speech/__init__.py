"""A simulated corpus of silent and voiced speech: text, articulation, muscles, electrodes, sound; in Gaddy's layout."""
