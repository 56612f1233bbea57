"""Which of the super-resolution networks that people download are exported, and how they run."""
