"""Candidate pieces by SentencePiece's BPE trainer, run in a process of its own.

In a child process the trainer's memory (1-3 GB for 60 MB of text) is returned when it ends, its log can be read as
progress, and a crash inside the library becomes an error with a message instead of ending the caller.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

from algok.errors import StageError

__all__ = ["bpe_pieces"]

_ALPHABET = re.compile(r"smaller than required_chars\. (\d+) vs (\d+)")
_SIZE = re.compile(r"\bsize=(\d+)")

#: What the child runs: argv[1] is a JSON file of arguments, the pieces go to argv[2], most valuable first.
_CHILD = """
import json, sys
import sentencepiece
options = json.load(open(sys.argv[1], encoding="utf-8"))
sentencepiece.SentencePieceTrainer.train(**options)
model = sentencepiece.SentencePieceProcessor(model_file=options["model_prefix"] + ".model")
pieces = [model.id_to_piece(i) for i in range(len(model))
          if not (model.is_control(i) or model.is_unknown(i) or model.is_byte(i))]
json.dump(pieces, open(sys.argv[2], "w", encoding="utf-8"))
"""


def bpe_pieces(
    lines: Path,
    *,
    size: int,
    coverage: float,
    superwords: bool,
    space_last: bool,
    join_digits: bool,
    max_piece_chars: int,
    max_line_bytes: int,
    threads: int,
    progress: Callable[[str, float], None] | None = None,
) -> list[str]:
    """About ``size`` pieces for a file of text lines, in SentencePiece's spelling, in the order of merging.

    A space begins a piece, or ends one with ``space_last``; with ``superwords`` it may also stand inside. Fewer when
    the text has no more pairs to merge. ``progress(step, share)`` is called as the trainer reports.
    Raises StageError with the end of the trainer's log if it fails.
    """
    with tempfile.TemporaryDirectory(prefix="algok-bpe-") as folder:
        arguments, result = Path(folder, "arguments.json"), Path(folder, "pieces.json")
        options = {
            "input": str(lines),
            "model_prefix": str(Path(folder, "bpe")),
            "model_type": "bpe",
            "vocab_size": size,
            "hard_vocab_limit": False,
            "character_coverage": coverage,
            "normalization_rule_name": "identity",
            "add_dummy_prefix": False,
            "remove_extra_whitespaces": False,
            "allow_whitespace_only_pieces": True,
            "split_by_whitespace": not superwords,
            "treat_whitespace_as_suffix": space_last,
            "split_by_unicode_script": False,
            "split_by_number": False,
            "split_digits": not join_digits,
            "max_sentencepiece_length": max_piece_chars,
            "max_sentence_length": max_line_bytes,
            "num_threads": threads,
            "shuffle_input_sentence": False,
        }
        arguments.write_text(json.dumps(options), "utf-8")
        command = [sys.executable, "-c", _CHILD, str(arguments), str(result)]
        log: deque[str] = deque(maxlen=12)
        with subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            encoding="utf-8", errors="replace",
        ) as child:  # fmt: skip
            try:
                assert child.stderr is not None
                for line in child.stderr:
                    log.append(line.rstrip())
                    found = _SIZE.search(line)
                    if progress is not None and found:
                        progress("candidates", min(1.0, int(found[1]) / size))
            except BaseException:
                child.kill()
                raise
        if child.returncode:
            tail = "\n".join(log)
            many = _ALPHABET.search(tail)
            if many:
                raise StageError(
                    f"vocab_size is too small: the sample has {many[2]} different characters, more than the {many[1]} "
                    "pieces to train; raise vocab_size or prune_from, or lower character_coverage"
                )
            raise StageError(f"SentencePiece's trainer ended with status {child.returncode}; its last lines:\n{tail}")
        pieces: list[str] = json.loads(result.read_text("utf-8"))
        return pieces
