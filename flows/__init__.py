"""Prefect flows: which steps, in which order. `pipeline` is the one entry point; each stage is a subflow."""
