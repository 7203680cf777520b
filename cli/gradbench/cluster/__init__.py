"""Blocks of cells on the workers of a Dask cluster; this side alone writes what they give."""
