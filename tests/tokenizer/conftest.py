"""A small trained tokenizer, shared by the tests of this folder."""

import random

import pytest

from algok.tokenizer.codec import Codec
from algok.tokenizer.sample import Sample
from algok.tokenizer.train import TrainedTokenizer, TrainOptions, train

SYLLABLES = "가나다라마바사아자차카타파하고노도로모보소오조초구누두루무부수우주추기니디리미비시이지치한국어말글"
PARTICLES = ("은", "는", "이", "가", "을", "를", "에서", "으로", "까지", "하고", "입니다.", "했다.")
ENGLISH = ("the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "and", "data", "return", "value", "class")


def korean_documents(count: int, seed: int) -> list[str]:
    """Text with repeated made-up words, so that a BPE trainer has something to merge."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(600)]
    documents = []
    for _ in range(count):
        lines = []
        for _ in range(rng.randint(1, 6)):
            kind = rng.random()
            if kind < 0.7:
                lines.append(" ".join(rng.choice(words) + rng.choice(PARTICLES) for _ in range(rng.randint(3, 12))))
            elif kind < 0.85:
                lines.append(" ".join(rng.choices(ENGLISH, k=rng.randint(3, 10))) + f" {rng.randint(0, 10**6)}")
            else:
                lines.append(
                    "\t" * rng.randint(0, 2) + "    " * rng.randint(0, 3) + f"return {rng.choice(ENGLISH)}(x, 1)"
                )
        documents.append(rng.choice(["\n", "\n\n"]).join(lines))
    return documents


@pytest.fixture(scope="session")
def documents() -> list[str]:
    return korean_documents(1500, seed=7)


@pytest.fixture(scope="session")
def trained(documents: list[str], tmp_path_factory: pytest.TempPathFactory) -> TrainedTokenizer:
    sample = [Sample(text, "ko" if i % 3 else "en") for i, text in enumerate(documents)]
    return train(sample, tmp_path_factory.mktemp("tokenizer"), TrainOptions(vocab_size=4000, digits="triples"))


@pytest.fixture(scope="session")
def codec(trained: TrainedTokenizer) -> Codec:
    return Codec.load(trained.model)
