"""Champion and challenger: how far a roll-out has come, what is known of it, and when it stops."""
