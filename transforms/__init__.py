"""PTransforms over RecordBatches: coders, sources, sinks, shuffle, and the stages."""

import logging

# Beam logs at its first import that an optional Google Cloud package is missing, which is no news on premise.
logging.getLogger().addFilter(lambda record: "apitools not found" not in record.getMessage())

from algok.transforms.coders import register_coders  # noqa: E402
from algok.transforms.s3 import share_clients  # noqa: E402

register_coders()
share_clients()
