"""What a drawn street is made of: ground, buildings, greenery, furniture, traffic, people."""
