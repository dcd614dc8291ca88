"""The `restore` command: the only part that prints, and the only one that exits."""
