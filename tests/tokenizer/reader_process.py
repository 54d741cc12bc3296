"""A training process that reads shards and is made to be killed.

    python -m tests.tokenizer.reader_process LOG RANK WORLD BLOCK STATE SHARD...

Writes a line ``position shard row`` for every sequence, and after every step its state to LOG.state, atomically.
"""

import json
import sys
import time
from pathlib import Path

from algok.tokenizer.reader import ShardReader


def main() -> None:
    log, rank, world, block, state, *paths = sys.argv[1:]
    reader = ShardReader(
        paths, seed=1, rank=int(rank), world=int(world), block=int(block), state=json.loads(state) or None
    )
    kept, new = Path(f"{log}.state"), Path(f"{log}.new")
    with Path(log).open("a", buffering=1) as out:
        for taken, item in enumerate(reader, start=1):
            out.write(f"{item.position} {item.shard} {item.row}\n")
            if taken % int(block) == 0:
                new.write_text(json.dumps(reader.state()))
                new.replace(kept)
            time.sleep(0.002)


if __name__ == "__main__":
    main()
