"""The record of a run, and what people are told: values, story, pages and words."""
