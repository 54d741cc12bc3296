"""Recipes, manifests, stage jobs, the report and the command line."""
