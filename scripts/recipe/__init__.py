"""What the shell scripts of this folder ask Python for."""
