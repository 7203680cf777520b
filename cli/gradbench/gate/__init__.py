"""Rows to verdicts: did a sampler become less efficient?"""
