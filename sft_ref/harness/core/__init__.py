"""What everything else of the harness speaks of: checks, results, verdicts, and the stages that they are about."""
