"""Canvases: JSON Canvas 1.0 files, as Obsidian writes them, and the reviews that are made of them."""
