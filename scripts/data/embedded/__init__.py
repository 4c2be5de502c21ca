"""A synchronous grammar of German and English that writes the embedded parallel corpus."""
