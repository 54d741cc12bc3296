"""The tokenizer's sample as PTransforms: documents of the mixture chosen by hash, at a rate for each language."""

from collections.abc import Callable

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from algok.schema import KEPT, REJECTED, SAMPLE
from algok.transforms.sampling import uniform
from algok.transforms.sinks import Count, Output, count_rows

__all__ = ["SampleText", "sample_outputs"]

_MARKED = pa.schema([*SAMPLE, pa.field("outcome", pa.string()), pa.field("reason", pa.string())])


class SampleText(msgspec.Struct, frozen=True, kw_only=True):
    """Rows with doc_id, source, language, bytes and text to rows of SAMPLE plus outcome and reason.

    ``rates`` is the share of each language's documents to take (0..1); of those, ``held_out`` (0..1) are marked for
    evaluation. Rows not taken lose their text and are only counted.
    """

    rates: dict[str, float]
    held_out: float
    seed: int

    def load(self) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        return self._sample

    def _sample(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.num_rows == 0:
            return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in _MARKED], schema=_MARKED)
        ids = batch.column("doc_id")
        rates = np.array([self.rates.get(language, 0.0) for language in batch.column("language").to_pylist()])
        taken = pa.array(uniform(ids, self.seed, "tokenizer-sample") < rates)
        columns = {
            "held_out": pa.array(uniform(ids, self.seed, "tokenizer-held-out") < self.held_out),
            "text": pc.if_else(taken, batch.column("text"), pa.scalar(None, pa.large_string())),
            "outcome": pc.if_else(taken, KEPT, REJECTED),
            "reason": pc.if_else(taken, pa.scalar(None, pa.string()), "not_sampled"),
        }
        return pa.RecordBatch.from_arrays(
            [columns[name] if name in columns else batch.column(name) for name in _MARKED.names], schema=_MARKED
        )


def _taken(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.filter(pc.equal(batch.column("outcome"), KEPT)).select(SAMPLE.names)


def _left(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.filter(pc.equal(batch.column("outcome"), REJECTED))


def _count_taken(batch: pa.RecordBatch) -> list[Count]:
    return [msgspec.structs.replace(count, outcome=KEPT) for count in count_rows(batch)]


def sample_outputs() -> tuple[Output, ...]:
    """The sample; documents that were not taken are counted and not written."""
    return (
        Output(table="", schema=_MARKED, select=_left, count=count_rows),
        Output(table="sample", schema=SAMPLE, select=_taken, count=_count_taken, required=True),
    )
