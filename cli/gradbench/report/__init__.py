"""Records to pictures and pages: one picture a file, each with its numbers and a sentence."""
