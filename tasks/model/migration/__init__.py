"""NanoClaw v1 to v2: what was found of a v1, what becomes of each part of it, and what stands in the way."""
