"""The agent image: what goes into it (Dockerfile, agent.py). The program runs inside the image, never here."""
