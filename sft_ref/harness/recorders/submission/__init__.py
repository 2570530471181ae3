"""Records a submission: locates its foreign code, runs it in separate processes, and collects the evidence."""
