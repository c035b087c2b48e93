"""The Hugging Face Hub, by its own client: what a run publishes there, and what is loaded of it."""
