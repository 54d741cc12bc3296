"""``algok shards``: what is in packed shards, where a document is, and whether they are whole."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from algok.errors import InputError
from algok.pipeline.console import reported

if TYPE_CHECKING:
    from algok.pipeline.shards.folder import PackFolder
    from algok.tokenizer.codec import Codec
    from algok.tokenizer.lookup import Placement

__all__ = ["shards"]

_FOLDER = click.argument("folder", type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


def _dump(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _one_line(text: str) -> str:
    """Text for a terminal: line breaks as ⏎, and no control character that could steer the terminal."""
    return "".join(c if c.isprintable() else "⏎" if c == "\n" else " " if c.isspace() else "\ufffd" for c in text)


@click.group()
def shards() -> None:
    """Look into packed shards.

    FOLDER is the work folder of a run, its `pack` folder, or a copy of that. Shards are plain Arrow IPC files: pyarrow,
    Polars and datasets read them without algok; see docs/shards.md.
    """


@shards.command("list")
@_FOLDER
@_JSON
def list_(folder: Path, as_json: bool) -> None:
    """Show the totals, every bucket beside its budget, and the shards.

    \b
    Example:
      algok shards list work/mini-crawl
    """
    from algok.pipeline.shards.folder import open_pack

    with reported():
        summary = open_pack(folder).summary()
    if as_json:
        _dump(summary)
        return
    click.echo(
        f"{summary['tokens']:,} tokens in {summary['sequences']:,} sequences of {summary['sequence_length']:,}; "
        f"shards: {summary['shards']:,}\n"
        f"padding: {summary['padding']:,} tokens ({100 * summary['waste']:.3f} %)\n"
        f"cut: {summary['cut_documents']:,} documents, longer than a sequence, of {summary['cut_tokens']:,} tokens; "
        f"{summary['cut_documents'] - summary['scattered_documents']:,} in adjacent sequences\n"
        f"cut by concatenation: {summary['concatenation_cuts']:,}\n"
        f"tokenizer: {summary['vocab_size']:,} pieces, SHA-256 {summary['tokenizer_sha256']}\n"
    )
    rows = [["bucket", "planned", "budget", "packed", "difference"]]
    for row in summary["budget"]["buckets"]:
        counts = [row["planned_tokens"], row["budget_tokens"], row["packed_tokens"]]
        rows.append([f"{row['language']}/{row['source']}", *(f"{n:,}" for n in counts), f"{counts[2] - counts[1]:+,}"])
    _table(rows)
    for row in summary["budget"]["languages"]:
        if row["short_by"]:
            click.echo(f"{row['language']}: {row['short_tokens']:,} tokens short of its budget ({row['short_by']})")
    click.echo()
    _table(
        [["shard", "sequences", "bytes", "XXH3-128"]]
        + [[f["name"], f"{f['sequences']:,}", f"{f['bytes']:,}", f["xxh3_128"]] for f in summary["files"]]
    )


def _table(rows: list[list[str]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        click.echo("  ".join(cells).rstrip())


@shards.command()
@_FOLDER
@click.option("--quick", is_flag=True, help="Sizes and checksums only; do not read the rows.")
@_JSON
def verify(folder: Path, quick: bool, as_json: bool) -> None:
    """Check every file against its checksum, every row of every shard, and the token counts of the manifest.

    Ends with status 1 when something is wrong, and names the files.

    \b
    Example:
      algok shards verify work/mini-crawl
    """
    from algok.pipeline.shards.folder import open_pack

    with reported():
        verdicts = []
        for verdict in open_pack(folder).verify(rows=not quick):
            verdicts.append(verdict)
            if not as_json:
                held = verdict.shard
                good = f"ok, {held.sequences:,} sequences, {held.tokens:,} tokens" if held else "ok"
                click.echo(f"{verdict.path}: {'; '.join(verdict.problems) or good}")
        bad = [v.path for v in verdicts if v.problems]
        if as_json:
            _dump({"files": len(verdicts), "damaged": {v.path: v.problems for v in verdicts if v.problems}})
        if bad:
            raise InputError(
                f"{len(bad)} of {len(verdicts)} files are damaged: copy them again, or run the pack stage with --force"
            )


@shards.command()
@_FOLDER
@click.option("--shard", default="0", show_default=True, help="Name or number of a shard.")
@click.option("--sequence", type=click.IntRange(0), default=0, show_default=True, help="Row of the shard.")
@click.option("--document", metavar="DOC_ID", help="Find a document by its id: 32 hex digits.")
@click.option("--url", help="Find the documents of a URL (or of a record id, where a source has no URLs).")
@click.option("--model", type=click.Path(path_type=Path), help="The tokenizer, if not the one in the work folder.")
@click.option("--chars", type=click.IntRange(0), default=200, show_default=True, help="Text shown; 0 for all.")
@_JSON
def inspect(
    folder: Path,
    shard: str,
    sequence: int,
    document: str | None,
    url: str | None,
    model: Path | None,
    chars: int,
    as_json: bool,
) -> None:
    """Decode a sequence with the borders of its documents, or find the sequences of a document or URL.

    \b
    Examples:
      algok shards inspect work/mini-crawl --shard 2 --sequence 17
      algok shards inspect work/mini-crawl --url https://example.kr/news/1
      algok shards inspect work/mini-crawl --document 9f86d081884c7d659a2feaa0c55ad015 --chars 0
    """
    from algok.pipeline.shards.folder import open_pack

    if document is not None and url is not None:
        raise click.UsageError("give --document or --url, not both")
    with reported():
        pack = open_pack(folder)
        codec = pack.codec(model)
        if document is None and url is None:
            found = _sequence(pack, codec, shard, sequence)
        else:
            found = {"documents": [_document(pack, codec, doc_id) for doc_id in _ids(pack, document, url)]}
    if as_json:
        _dump(found)
    elif "documents" in found and "shard" not in found:
        _print_documents(found["documents"], chars)
    else:
        _print_sequence(found, chars)


def _ids(pack: "PackFolder", document: str | None, url: str | None) -> list[bytes]:
    if url is not None:
        ids = pack.documents(url)
        if not ids:
            raise InputError(
                f"no packed document has the URL {url}: it was not in the input, or a stage rejected it; see the report"
            )
        return ids
    assert document is not None
    try:
        doc_id = bytes.fromhex(document)
    except ValueError:
        doc_id = b""
    if len(doc_id) != 16:
        raise InputError(f"--document takes a doc_id of 32 hex digits, not {document!r}")
    return [doc_id]


def _document(pack: "PackFolder", codec: "Codec", doc_id: bytes) -> dict[str, Any]:
    """Where a document is, and its text."""
    from algok.tokenizer.lookup import read_document

    places = pack.placements(doc_id)
    if not places:
        raise InputError(
            f"document {doc_id.hex()} is not in the shards: it was not in the input, or a stage rejected it "
            "(table pack/packed says so for the mixture, the report for all)"
        )
    tokens = read_document(pack.folder / "shards", _first_copy(places), doc_id)
    return {
        "doc_id": doc_id.hex(),
        "tokens": len(tokens),
        "copies": sum(p.part == 0 for p in places),
        "places": [{"shard": p.shard, "sequence": p.sequence, "part": p.part, "parts": p.parts} for p in places],
        "text": codec.decode(tokens),
    }


def _first_copy(places: "list[Placement]") -> "list[Placement]":
    """Placements of the first shard, which holds whole copies."""
    return [p for p in places if p.shard == places[0].shard]


def _sequence(pack: "PackFolder", codec: "Codec", shard: str, row: int) -> dict[str, Any]:
    from algok.tokenizer.lookup import open_shard

    path = pack.shard(shard)
    opened = open_shard(path)
    sequence = opened.sequence(row)
    return {
        "shard": path.name,
        "sequence": row,
        "sequences": opened.sequences,
        "length": sequence.length,
        "padding": opened.info.sequence_length - sequence.length,
        "documents": [
            {
                "doc_id": span.doc_id.hex(),
                "bucket": span.bucket,
                "start": span.start,
                "length": span.length,
                "part": span.part,
                "parts": span.parts,
                "text": codec.decode(sequence.tokens[span.start : span.start + span.length]),
            }
            for span in sequence.spans
        ],
    }


def _shown(text: str, chars: int) -> str:
    if not chars or len(text) <= chars:
        return _one_line(text)
    half = max(1, chars // 2)
    return f"{_one_line(text[:half])} … {_one_line(text[-half:])}"


def _print_sequence(found: dict[str, Any], chars: int) -> None:
    click.echo(
        f"{found['shard']}, sequence {found['sequence']:,} of {found['sequences']:,}: {found['length']:,} tokens, "
        f"{found['padding']:,} of padding, {len(found['documents']):,} documents"
    )
    for number, document in enumerate(found["documents"], start=1):
        end = document["start"] + document["length"]
        part = f", part {document['part'] + 1} of {document['parts']}" if document["parts"] > 1 else ""
        click.echo(
            f"── {number}  {document['doc_id']}  {document['bucket']}  "
            f"tokens {document['start']:,} to {end:,} ({document['length']:,}){part}"
        )
        click.echo(_shown(document["text"], chars))


def _print_documents(documents: list[dict[str, Any]], chars: int) -> None:
    for document in documents:
        click.echo(f"{document['doc_id']}: {document['tokens']:,} tokens, copies: {document['copies']:,}")
        for place in document["places"]:
            part = f"  part {place['part'] + 1} of {place['parts']}" if place["parts"] > 1 else ""
            click.echo(f"  {place['shard']}  sequence {place['sequence']:,}{part}")
        click.echo(_shown(document["text"], chars))
