"""Pure deduplication kernels over Arrow arrays. No Beam here."""
