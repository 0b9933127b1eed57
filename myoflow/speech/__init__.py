"""Speech: utterances with their targets, losses, decoding, answers and report of silent speech."""
