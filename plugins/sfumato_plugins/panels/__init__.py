"""Panels that some methods show above their generated form. The window loads them, so they are torch-free."""
