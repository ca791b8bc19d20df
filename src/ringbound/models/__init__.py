"""From candidates to a bundle of plain files."""
