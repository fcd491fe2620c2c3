"""Jinja2 templates of every report."""
