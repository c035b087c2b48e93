"""How fast a network is on this machine, stage by stage, beside what the machine can do."""
