"""Reading archives and tables into batches of :data:`algok.schema.RECORDS`: WARC, WET, ARC, JSONL, Parquet.

Pure functions over binary files; nothing here knows Beam. ``detect_format`` looks at the first bytes, ``plan_splits``
cuts a large file into pieces, ``read_split`` reads one piece in bounded memory.
"""

from algok.filters.reading.formats import detect_format
from algok.filters.reading.options import HEAD_BYTES, ReadOptions, Split
from algok.filters.reading.read import plan_splits, read_split
from algok.filters.reading.tally import ReadTally

__all__ = ["HEAD_BYTES", "ReadOptions", "ReadTally", "Split", "detect_format", "plan_splits", "read_split"]
