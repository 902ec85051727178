"""Images: what they are called, what a registry proves, and which one a container gets."""
