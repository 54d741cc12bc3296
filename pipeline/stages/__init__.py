"""The seven stages: each from files to files."""
