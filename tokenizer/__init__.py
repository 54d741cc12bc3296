"""Tokenizer training, codec, packing and shard reading. No Beam here."""
