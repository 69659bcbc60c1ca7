"""The kinds of sources that `download` can fetch: http(s) URLs and local files."""
