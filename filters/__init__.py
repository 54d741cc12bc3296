"""Pure reading, extraction, signals and policies over Arrow batches. No Beam here."""
