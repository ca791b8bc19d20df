"""How results show themselves: a table or a figure at the end of a notebook's cell."""
