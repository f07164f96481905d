"""The audit log's format, and what shows that a log is whole. docs/audit.md says it for readers."""
