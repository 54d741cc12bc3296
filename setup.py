"""Packaging: the top-level folders become subpackages of ``algok``.

``pipeline/`` is imported as ``algok.pipeline`` and so on, so that nothing but
``algok`` lands in ``site-packages``. Every other setting is in pyproject.toml.
"""

from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
SUBS = ("pipeline", "transforms", "filters", "dedup", "tokenizer")

# Ranges for users; requirements.lock pins one tested set for development and CI.
REQUIRES = [
    "apache-beam>=2.70,<3",
    "brotli>=1.2,<2",
    "click>=8.1,<9",
    "datasketch>=2.0,<3",
    "fasttext>=0.9.3,<0.10",
    "faust-cchardet>=2.1,<4",
    "filelock>=3.12",
    "idna>=3.6,<4",
    "isal>=1.6,<2",
    "jinja2>=3.1,<4",
    "lxml>=5.3,<7",
    "msgspec>=0.19,<1",
    "numba>=0.61,<1",
    "numpy>=2.0,<3",
    "psutil>=6,<8",
    "pyarrow>=18,<26",
    "resiliparse>=2.0,<3",
    "rich>=13.7,<16",
    "sentencepiece>=0.2,<0.3",
    "tiktoken>=0.8,<1",
    "trafilatura>=2.0,<3",
    "xxhash>=3.4,<5",
    "zstandard>=0.22,<1",
]


#: What a folder may hold besides code; setuptools wants folders of data alone listed as packages too.
DATA = {".css", ".html", ".js", ".toml", ".txt", ".xml"}


def nested(folder: str) -> list[str]:
    """Dotted names of ``folder`` and of every folder below it with code or data."""
    files = [path for path in (ROOT / folder).rglob("*") if path.name == "__init__.py" or path.suffix in DATA]
    return sorted({".".join(path.parent.relative_to(ROOT).parts) for path in files})


#: What is used when it is there: `algok tokenizer check`, `evaluate --morphemes`, Beam's S3 filesystem, and
#: `algok tokenizer train --words ko=wordfreq`.
EXTRAS = {
    "hf": ["tokenizers>=0.20,<1"],
    "morphemes": ["kiwipiepy>=0.20,<1"],
    "s3": ["boto3>=1.34,<2"],
    "words": ["wordfreq>=3.1,<4"],
}

setup(
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    packages=["algok", *(f"algok.{name}" for sub in SUBS for name in nested(sub))],
    package_dir={"algok": "src/algok", **{f"algok.{sub}": sub for sub in SUBS}},
    package_data={
        "algok": ["py.typed"],
        "algok.pipeline": ["**/*.html", "**/*.css", "**/*.js", "**/*.toml", "**/*.xml", "cluster/checksums.txt"],
        "algok.filters": ["**/*.toml", "**/*.txt", "**/*.npz"],
    },
)
