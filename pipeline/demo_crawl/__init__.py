"""A synthetic crawl with known truth: deterministic WARC files of generated sites, and tables of what pages truly are.

``write_demo_crawl`` writes it; ``Pages`` gives single pages without writing anything.
"""

from algok.pipeline.demo_crawl.options import DemoCrawlOptions
from algok.pipeline.demo_crawl.page import Page, Pages
from algok.pipeline.demo_crawl.truth import PAIRS, TRUTH
from algok.pipeline.demo_crawl.write import DemoCrawlSummary, write_demo_crawl

__all__ = ["PAIRS", "TRUTH", "DemoCrawlOptions", "DemoCrawlSummary", "Page", "Pages", "write_demo_crawl"]
