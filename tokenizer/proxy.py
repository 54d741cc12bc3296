"""Do fewer tokens hurt learning? A small language model, trained with equal compute, measured in bits per byte.

Bits per byte compare across tokenizers, losses per token do not. A tokenizer with longer pieces reads more text for the
same compute, but its embedding and output layer are larger and its pieces rarer; the check puts both into one number.
The model is a plain pre-norm transformer decoder with tied embeddings. PyTorch is imported when it is called only.
"""

import importlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.errors import InputError, RecipeError
from algok.tokenizer.codec import Codec

__all__ = ["ProxyOptions", "ProxyResult", "bits_per_byte"]


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
    """``bits_per_byte`` on the held-out text; ``bytes_read`` in training, ``steps``, ``vocabulary``, ``parameters``."""

    bits_per_byte: float
    bytes_read: float
    steps: int
    vocabulary: int
    parameters: int


def bits_per_byte(encoder: Any, texts: list[str], held_out: list[str], options: ProxyOptions) -> ProxyResult:
    """Train on ``texts``, measure on ``held_out``. ``encoder``: a Codec or a tiktoken encoding. Same seed and machine:
    same number on a CPU.

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
    held, held_bytes = _stream(encoder, held_out)
    if not size or not held_bytes:
        raise InputError("the proxy check needs text to train on and held-out text")
    length = max(8, round(options.context * len(stream) / size))
    if len(stream) <= length + 1 or len(held) <= length + 1:
        raise InputError(f"the proxy check needs more text than one sequence of {length} tokens")
    torch.manual_seed(options.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = _model(torch, vocabulary, length, options).to(device)
    parameters = sum(p.numel() for p in model.parameters())
    # 6 per weight and token for the matrix products, and attention's own; the tied output layer is a product too.
    per_token = 6 * (12 * options.layers * options.width**2 + vocabulary * options.width) + (
        12 * options.layers * options.width * length
    )
    steps = max(1, round(options.flops / (per_token * options.batch * length)))
    _fit(torch, model, stream, length, steps, device, options)
    total = _loss(torch, model, held, length, device)
    return ProxyResult(
        bits_per_byte=total / math.log(2) / held_bytes,
        bytes_read=steps * options.batch * length * size / len(stream),
        steps=steps,
        vocabulary=vocabulary,
        parameters=parameters,
    )


def _stream(encoder: Any, texts: list[str]) -> tuple[npt.NDArray[np.int64], int]:
    """All tokens in one row, and the bytes of the text. Documents follow each other behind a line break."""
    joined = [text + "\n" for text in texts]
    size = sum(len(text.encode("utf-8", "replace")) for text in joined)
    if isinstance(encoder, Codec):
        datas = pa.array([t.encode("utf-8", "replace") for t in joined], pa.large_binary())
        return encoder.encode_batch(datas).values.to_numpy().astype(np.int64), size
    return np.array([i for text in joined for i in encoder.encode_ordinary(text)], np.int64), size


def _model(torch: Any, vocabulary: int, length: int, options: ProxyOptions) -> Any:
    nn = torch.nn

    class Model(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(vocabulary, options.width)
            self.places = nn.Embedding(length, options.width)
            layer = nn.TransformerEncoderLayer(
                options.width, options.heads, 4 * options.width, dropout=0.0, activation="gelu", batch_first=True,
                norm_first=True,
            )  # fmt: skip
            self.body = nn.TransformerEncoder(layer, options.layers, enable_nested_tensor=False)
            self.norm = nn.LayerNorm(options.width)
            for table in (self.tokens, self.places):
                nn.init.normal_(table.weight, std=0.02)
            self.register_buffer("mask", torch.triu(torch.full((length, length), float("-inf")), 1))

        def forward(self, ids: Any) -> Any:
            size = ids.shape[1]
            hidden = self.tokens(ids) + self.places.weight[:size]
            hidden = self.norm(self.body(hidden, mask=self.mask[:size, :size]))
            return hidden @ self.tokens.weight.T

    return Model()


def _fit(torch: Any, model: Any, stream: Any, length: int, steps: int, device: str, options: ProxyOptions) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, betas=(0.9, 0.95), weight_decay=0.1)
    rng = np.random.default_rng(options.seed)
    warm = max(1, steps // 20)
    for step in range(steps):
        share = min(1.0, (step + 1) / warm)
        fall = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = options.rate * share * fall
        starts = rng.integers(0, len(stream) - length, options.batch)
        rows = torch.from_numpy(np.stack([stream[s : s + length + 1] for s in starts])).to(device)
        logits = model(rows[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def _loss(torch: Any, model: Any, held: Any, length: int, device: str) -> float:
    """Nats over the held-out tokens, each predicted once; the very first costs its share of a uniform guess."""
    total = math.log(model.tokens.num_embeddings)
    model.eval()
    with torch.no_grad():
        for start in range(0, len(held) - 1, length):
            row = torch.from_numpy(held[start : start + length + 1]).to(device)
            if len(row) < 2:
                break
            logits = model(row[None, :-1])[0]
            total += float(torch.nn.functional.cross_entropy(logits, row[1:], reduction="sum"))
    return total
