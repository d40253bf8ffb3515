"""Whether an index answers: questions with known answers, asked and scored."""
