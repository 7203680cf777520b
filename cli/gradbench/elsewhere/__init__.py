"""Chains made elsewhere: files -> chains -> what a run would say of them."""
