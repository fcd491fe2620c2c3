"""A small Compose project for tests: three services on two networks, one of which ends by itself."""

__all__ = ["HEALTH", "PAGE", "TEMPLATE", "ask"]

PAGE = "import http.server as h; h.ThreadingHTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
TEMPLATE = """
services:
  api:
    image: {image}
    entrypoint: [python3, -uc, "{page}"]
    environment: {{DATABASE_PASSWORD: "pa$$word", STAGE: "${{STAGE:-test}}"}}
    ports: ["8000:8000"]
    restart: "no"
    depends_on:
      db: {{condition: service_healthy}}
      migrate: {{condition: service_completed_successfully}}
    networks: [default, back]
  db:
    image: {image}
    entrypoint: [python3, -uc, "{page}"]
    expose: [8000]
    volumes: ["data:/data"]
    healthcheck: {{test: [CMD, "true"], interval: 1s, timeout: 30s}}
    networks:
      back: {{aliases: [database]}}
  migrate:
    image: {image}
    entrypoint: [sh, -c, "echo migrated > /data/schema"]
    volumes: ["data:/data"]
volumes: {{data: {{}}}}
networks: {{back: {{}}}}
"""
HEALTH = {"http": "http:/", "within": "60s"}


def ask(system, service: str, url: str) -> str:
    """What a service of the system gets from a URL."""
    program = f"import urllib.request as u; print(u.urlopen('{url}', timeout=5).status)"
    return str(system.runner(service).run_inside(["python3", "-c", program])[1]).strip()
