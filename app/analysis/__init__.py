"""Statistics and reports of cases. No Qt."""
