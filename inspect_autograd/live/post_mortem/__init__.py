"""Gather the facts about a failure from the exception alone, without running anything again."""
