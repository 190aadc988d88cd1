"""What the results of estimators have in common: numbers with errors, tables, files."""
