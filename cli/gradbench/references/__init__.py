"""Reference moments, from long runs of samplers that must agree."""
