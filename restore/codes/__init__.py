"""What the codes of autoencoders are for: maps, neighbours, drawn pictures and small files."""
