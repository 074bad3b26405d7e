"""The trial: claims, measures, fairness guard and verdicts."""
