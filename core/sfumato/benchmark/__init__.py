"""PIE-Bench's structure, metrics and tables, for any pairing and any folder of cases."""
