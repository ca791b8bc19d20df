"""What comes back: outcomes that events tell, held against each other, and handed to ingest as a source."""
