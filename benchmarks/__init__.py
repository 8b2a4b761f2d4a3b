"""How long the compiler takes, beside what no compiler could undercut."""
