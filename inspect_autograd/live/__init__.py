"""Everything that holds torch objects: walking live graphs and describing them as records."""
