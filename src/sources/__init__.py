"""Behind download: where bytes come from."""
