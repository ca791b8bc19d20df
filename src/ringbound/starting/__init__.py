"""A new workspace about somebody's table: what the table holds, what each column is for, and the files written about it."""
