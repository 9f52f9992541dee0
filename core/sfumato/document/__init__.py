"""Layers, masks, regions and undoable commands: pure data on numpy and Pillow, no Qt, no signals."""
