"""The door from Python: what ``import gradbench`` gives beside what model files import."""
