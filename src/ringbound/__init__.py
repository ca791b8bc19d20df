"""Machinery that turns notebooks into a production ML system; it knows nothing of any one problem."""
