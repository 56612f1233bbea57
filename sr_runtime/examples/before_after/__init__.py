"""A program that embeds the runtime: it shows one photo before and after."""
