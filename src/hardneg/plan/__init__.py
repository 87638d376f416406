"""Joins the stages: what runs, in which order, and what is already done (each stage by its fingerprint)."""
