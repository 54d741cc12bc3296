"""A Flink cluster on this machine, without Docker: its parts, its processes, and the entry point of Python workers."""
