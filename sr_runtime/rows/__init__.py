"""Images as rows: upscaled from top to bottom, so that none has to fit into memory."""
