"""Rows to the terminal: the only package that imports rich."""
