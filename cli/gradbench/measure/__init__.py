"""Cells to results: processes, clocks, limits and statuses."""
