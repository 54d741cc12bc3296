"""Looking into packed shards: the folder of the pack stage, and ``algok shards``."""
