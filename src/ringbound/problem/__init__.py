"""What a problem is: its declaration, its task, and the metrics an answer is judged by."""
