"""PTransforms over RecordBatches: coders, sources, sinks, shuffle, and the stages."""

from algok.transforms.coders import register_coders

register_coders()
