"""What happened in a chain: recorded, drawn, and put into words."""
