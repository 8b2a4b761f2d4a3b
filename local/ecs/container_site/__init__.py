"""What is put before the path of every Python in a container."""
