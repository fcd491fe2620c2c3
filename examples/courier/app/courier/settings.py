"""Everything that the environment decides."""

import os
from dataclasses import dataclass, field


def _number(name: str, default: float) -> float:
    return float(os.environ.get(name, default))


@dataclass(frozen=True)
class Settings:
    """Addresses, limits and time-outs; times in seconds."""

    redis_host: str = os.environ.get("REDIS_HOST", "redis")
    postgres_dsn: str = os.environ.get("DATABASE_URL", "postgresql://courier:courier@postgres:5432/courier")
    llm_primary: str = os.environ.get("LLM_PRIMARY_URL", "http://llm-primary:8080")
    llm_fallback: str = os.environ.get("LLM_FALLBACK_URL", "http://llm-fallback:8080")
    chat: str = os.environ.get("CHAT_URL", "http://chat:8080")
    port: int = int(_number("PORT", 8000))
    queue_limit: int = int(_number("COURIER_QUEUE_LIMIT", 5000))
    review_limit: int = int(_number("COURIER_REVIEW_LIMIT", 0))  # messages that wait for a person; 0: any number
    remember: int = int(
        _number("COURIER_REMEMBER", 3600)
    )  # seconds that the queue knows an id; the database always does
    rate_limit: float = _number("COURIER_RATE_LIMIT", 0)  # requests per second of one client; 0: none
    pool_size: int = int(_number("COURIER_POOL_SIZE", 6))
    call_timeout: float = _number("COURIER_CALL_TIMEOUT", 2.0)
    llm_timeout: float = _number("COURIER_LLM_TIMEOUT", 2.0)
    health_timeout: float = _number("COURIER_HEALTH_TIMEOUT", 0.5)
    cache_size: int = int(_number("COURIER_CACHE_SIZE", 500))
    chat_rate: float = _number("COURIER_CHAT_RATE", 200)  # outgoing messages per second at most, as chat services ask
    stale_after: float = _number("COURIER_STALE_AFTER", 10.0)
    context: int = int(_number("COURIER_CONTEXT", 20_000))  # bytes that the mistake leak-memory keeps of each message
    slower: float = _number("COURIER_SLOWER", 0)  # a share of each request's own time by which it takes longer: 0.2
    defects: tuple[str, ...] = field(
        default_factory=lambda: tuple(name for name in os.environ.get("COURIER_DEFECTS", "").split(",") if name)
    )


SETTINGS = Settings()
