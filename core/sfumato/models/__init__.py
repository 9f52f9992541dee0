"""Checkpoints: where they are, how they are loaded, and the one object methods talk to."""
