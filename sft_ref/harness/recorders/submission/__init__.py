"""Code that we have never seen, as something that can be judged: found, run apart, and listened to."""
