"""Results to files and to rows."""
