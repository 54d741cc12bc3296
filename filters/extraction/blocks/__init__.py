"""The engine over blocks."""
