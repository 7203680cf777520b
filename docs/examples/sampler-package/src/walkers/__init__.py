"""Samplers that walk at random."""
