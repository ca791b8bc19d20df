"""Files in, files out, with the same answers as online."""
