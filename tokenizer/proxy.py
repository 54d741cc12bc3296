"""Do fewer tokens hurt learning? A small language model, trained with equal compute, measured in bits per byte.

Bits per byte compare across tokenizers, losses per token do not. A tokenizer with longer pieces reads more text for the
same compute, but its embedding and output layer are larger and its pieces rarer; the check puts both into one number.
The model is a plain pre-norm transformer decoder with tied embeddings, in bfloat16 where there is a GPU. PyTorch is
imported when it is called only.
"""

import importlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sentencepiece

from algok.errors import InputError, RecipeError
from algok.tokenizer.codec import Codec
from algok.tokenizer.model import SPACE

__all__ = ["ProxyOptions", "ProxyResult", "SentencePieceModel", "bits_per_byte"]

#: Logits of a step that stand in memory at once, so that a large vocabulary does not need a smaller batch.
_LOGITS = 1 << 30
#: Texts of a set on which a SentencePiece model must be lossless.
_LOOKED_AT = 2_000


@dataclass(frozen=True, kw_only=True)
class ProxyOptions:
    """``flops``: compute of one training, 6 per parameter and token, output layer included. ``width``, ``layers``,
    ``heads``: the model's. ``context``: text of a sequence in bytes, about, so that every tokenizer sees as far.
    ``batch``: sequences of a step. ``rate``: peak learning rate (AdamW, warm-up over 5 %, cosine to a tenth).

    Raises RecipeError that names the option.
    """

    flops: float = 2e12
    width: int = 64
    layers: int = 2
    heads: int = 4
    context: int = 256
    batch: int = 16
    rate: float = 3e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("flops", "width", "layers", "heads", "context", "batch", "rate"):
            if getattr(self, name) <= 0:
                raise RecipeError(f"proxy option {name} = {getattr(self, name)!r} must be above 0")
        if self.width % self.heads:
            raise RecipeError(f"proxy option width = {self.width} must be a multiple of heads = {self.heads}")


@dataclass(frozen=True, kw_only=True)
class ProxyResult:
    """``bits_per_byte`` of each set of held-out texts; ``bytes_read`` in training (a part read twice counts twice),
    ``tokens`` of them, ``steps``, ``vocabulary``, ``parameters``."""

    bits_per_byte: dict[str, float]
    bytes_read: float
    tokens: int
    steps: int
    vocabulary: int
    parameters: int


class SentencePieceModel:
    """Any SentencePiece model, to be compared with. Raises InputError if it cannot be loaded, and when it is given
    text that it does not return: what it loses would count as bytes that cost nothing."""

    def __init__(self, path: Path) -> None:
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise InputError(f"SentencePiece model {path} cannot be loaded: {error}") from error
        self._path = path
        self.n_vocab: int = self._processor.vocab_size()

    def encode_ordinary_batch(self, texts: list[str], num_threads: int) -> list[list[int]]:
        found: list[list[int]] = self._processor.encode(texts, num_threads=num_threads)
        for text, ids in zip(texts[:_LOOKED_AT], found[:_LOOKED_AT], strict=True):
            # It writes spaces as U+2581 and so makes that character a space, which is no help to a model.
            if self._processor.decode(ids) != text.replace(SPACE, " "):
                raise InputError(
                    f"SentencePiece model {self._path} does not return the text {text[:40]!r}: bits per byte would be "
                    "too low; train it with identity normalisation, byte fallback, white space kept and a piece for "
                    "line breaks"
                )
        return found


def bits_per_byte(
    encoder: Any, texts: Sequence[str], held_out: Mapping[str, Sequence[str]], options: ProxyOptions
) -> ProxyResult:
    """Train on ``texts``, measure on every set of ``held_out``. ``encoder``: a Codec, or what has ``n_vocab`` and
    ``encode_ordinary_batch`` as tiktoken's encodings do. Same seed and machine: same numbers on a CPU.

    Raises InputError if PyTorch is missing or there is too little text for one sequence.
    """
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError as error:
        raise InputError(
            "the proxy check trains a small model and needs PyTorch, which algok does not depend on: pip install torch"
        ) from error
    vocabulary = len(encoder) if isinstance(encoder, Codec) else int(encoder.n_vocab)
    stream, size = _stream(encoder, texts)
    held = {name: _stream(encoder, given) for name, given in held_out.items()}
    if not size or not held or not all(held_size for _, held_size in held.values()):
        raise InputError("the proxy check needs text to train on and held-out text")
    length = max(8, round(options.context * len(stream) / size))
    for tokens in (stream, *(tokens for tokens, _ in held.values())):
        if len(tokens) <= length + 1:
            raise InputError(f"the proxy check needs more text than one sequence of {length} tokens")
    torch.manual_seed(options.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = _model(torch, vocabulary, length, options).to(device)
    # 6 per weight and token for the matrix products, and attention's own; the tied output layer is a product too.
    per_token = 6 * (12 * options.layers * options.width**2 + vocabulary * options.width) + (
        12 * options.layers * options.width * length
    )
    steps = max(1, round(options.flops / (per_token * options.batch * length)))
    _fit(torch, model, stream, length, steps, device, options)
    return ProxyResult(
        bits_per_byte={
            name: _loss(torch, model, tokens, length, device) / math.log(2) / held_size
            for name, (tokens, held_size) in held.items()
        },
        bytes_read=steps * options.batch * length * size / len(stream),
        tokens=steps * options.batch * length,
        steps=steps,
        vocabulary=vocabulary,
        parameters=sum(p.numel() for p in model.parameters()),
    )


def _stream(encoder: Any, texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], int]:
    """All tokens in one row, and the bytes of the text. Documents follow each other behind a line break."""
    joined = [text + "\n" for text in texts]
    datas = [text.encode("utf-8", "replace") for text in joined]
    size = sum(map(len, datas))
    if isinstance(encoder, Codec):
        return encoder.encode_batch(pa.array(datas, pa.large_binary())).values.to_numpy().astype(np.int64), size
    tokens = encoder.encode_ordinary_batch(joined, num_threads=os.cpu_count() or 1)
    return np.fromiter(chain.from_iterable(tokens), np.int64), size


def _model(torch: Any, vocabulary: int, length: int, options: ProxyOptions) -> Any:
    nn, functional = torch.nn, torch.nn.functional
    width, heads = options.width, options.heads

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
            self.look, self.told = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, hidden: Any) -> Any:
            rows, size, _ = hidden.shape
            parts = self.look(self.before(hidden)).view(rows, size, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            seen = functional.scaled_dot_product_attention(*parts, is_causal=True)
            hidden = hidden + self.told(seen.transpose(1, 2).reshape(rows, size, width))
            return hidden + self.down(functional.gelu(self.up(self.between(hidden))))

    class Model(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
            self.blocks = nn.ModuleList(Block() for _ in range(options.layers))
            self.norm = nn.LayerNorm(width)
            for name, weight in self.named_parameters():
                if weight.dim() == 2:
                    last = name.endswith(("told.weight", "down.weight"))
                    nn.init.normal_(weight, std=0.02 / math.sqrt(2 * options.layers) if last else 0.02)

        def forward(self, ids: Any) -> Any:
            hidden = self.tokens(ids) + self.places.weight[: ids.shape[1]]
            for block in self.blocks:
                hidden = block(hidden)
            return self.norm(hidden).flatten(0, 1)

        def nats(self, hidden: Any, targets: Any) -> Iterator[Any]:
            """Sums over the tokens, one for every part of the logits that stands in memory at once."""
            step = max(1, _LOGITS // vocabulary)
            for part in (slice(i, i + step) for i in range(0, len(hidden), step)):
                logits = (hidden[part] @ self.tokens.weight.T).float()
                yield functional.cross_entropy(logits, targets[part], reduction="sum")

    return Model()


def _precision(torch: Any, device: str) -> AbstractContextManager[Any]:
    # No cache: the weights in it would belong to the first part of the logits, whose graph is gone by the second.
    context: AbstractContextManager[Any] = torch.autocast(
        device, torch.bfloat16, enabled=device == "cuda", cache_enabled=False
    )
    return context


def _fit(torch: Any, model: Any, stream: Any, length: int, steps: int, device: str, options: ProxyOptions) -> None:
    fused = device == "cuda"
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, betas=(0.9, 0.95), weight_decay=0.1, fused=fused)
    rng = np.random.default_rng(options.seed)
    tokens = torch.from_numpy(stream).to(device)
    steps_within = torch.arange(length + 1, device=device)
    warm = max(1, steps // 20)
    for step in range(steps):
        share = min(1.0, (step + 1) / warm)
        fall = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = options.rate * share * fall
        starts = torch.from_numpy(rng.integers(0, len(stream) - length, options.batch)).to(device)
        rows = tokens[starts[:, None] + steps_within]
        optimizer.zero_grad(set_to_none=True)
        with _precision(torch, device):
            hidden = model(rows[:, :-1])
            above = hidden.detach().requires_grad_()
            for nats in model.nats(above, rows[:, 1:].flatten()):
                (nats / (options.batch * length)).backward()
        hidden.backward(above.grad)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def _loss(torch: Any, model: Any, held: Any, length: int, device: str) -> float:
    """Nats over the held-out tokens, each predicted once; the very first costs its share of a uniform guess."""
    total = math.log(model.tokens.num_embeddings)
    model.eval()
    tokens = torch.from_numpy(held).to(device)
    whole = (len(held) - 1) // length
    with torch.no_grad(), _precision(torch, device):
        for first in range(0, whole, 16):
            count = min(16, whole - first)
            row = tokens[first * length : (first + count) * length + 1]
            total += sum(map(float, model.nats(model(row[:-1].view(count, length)), row[1:])))
        rest = tokens[whole * length :]
        if len(rest) > 1:
            total += sum(map(float, model.nats(model(rest[None, :-1]), rest[1:])))
    return total
