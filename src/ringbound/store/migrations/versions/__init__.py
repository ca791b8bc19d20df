"""One module a revision of the schema, in order; a revision that has been released is never edited."""
