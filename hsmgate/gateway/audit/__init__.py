"""The audit log: what was signed for whom, in files that show when they were changed."""
