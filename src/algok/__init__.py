"""algok: Korean-first curation of web crawls into pretraining data, on Apache Beam.

The import arrows point one way::

    algok (schema, errors) <- filters, dedup, tokenizer <- transforms <- pipeline
"""

__version__ = "0.1.0"
