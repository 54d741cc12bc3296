"""PTransforms over RecordBatches: coders, sources, sinks, shuffle, and the stages."""
