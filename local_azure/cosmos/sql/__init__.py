"""The query language of the NoSQL API: text → tokens → tree → Python closures."""
