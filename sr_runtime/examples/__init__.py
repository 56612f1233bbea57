"""Small complete programs that embed the runtime."""
