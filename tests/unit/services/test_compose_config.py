"""A Compose project made over for one run: nothing in it can meet another run, or the user's own project."""

from pathlib import Path

import pytest
import yaml

from shakedown.errors import EngineError
from shakedown.services.compose_config import Asked, MadeOver, make_over

CONFIG = """
name: shop
services:
  api:
    build: {context: /src, labels: [a=b]}
    image: registry/api:1
    container_name: the-api
    ports: [{target: 80, published: "8080"}]
    environment: {A: x$$y, B: null, N: 5, T: true}
    labels: [team=shop]
    depends_on: {db: {condition: service_healthy, required: true}}
    networks: {default: null, back: {aliases: [backend]}}
    links: [db, "cache:c"]
    deploy: {replicas: 3, resources: {limits: {memory: 64m}}}
    profiles: [x]
    volumes: ["/src:/app:rw", "/etc/x:/x:ro", {type: volume, source: data, target: /d}]
  worker: {image: "registry/api:1", network_mode: bridge, scale: 2}
  db: {image: db, networks: [back], volumes: ["old:/d"]}
  cache: {image: cache, networks: {back: {aliases: [c]}}}
networks:
  default: {name: shop_default}
  back: {name: shop_back, ipam: {config: [{subnet: 10.1.0.0/24}]}, internal: true}
  unused: {}
volumes: {data: {name: shop_data, driver_opts: {type: tmpfs}}, old: {external: true, name: precious}, unused: {}}
secrets: {key: {file: /src/key}}
"""
LABELS = {"shakedown.run": "r1"}


def made(
    config: str = CONFIG, names: tuple[str, ...] = ("api", "worker", "db"), **asked: Asked
) -> tuple[MadeOver, dict]:
    """The project for run r1, and its file as data."""
    plain = Asked({}, {}, (), {**LABELS, "shakedown.service": "x"})
    over = make_over(
        config, {name: asked.get(name, plain) for name in names}, prefix="shakedown-r1", network="shakedown-r1", labels=LABELS,
        origin=Path("/src/compose.yml"),
    )  # fmt: skip
    return over, yaml.safe_load(over.text)


def test_names_labels_and_ports_are_the_runs():
    """Containers, networks and volumes have the run's names and labels; no port of the file is published."""
    over, data = made(api=Asked({80: 41000}, {"A": "p$q"}, ("vendor",), {**LABELS, "shakedown.service": "api"}))
    api = data["services"]["api"]
    assert api["container_name"] == over.containers["api"] == "shakedown-r1-api"
    assert api["ports"] == ["127.0.0.1:41000:80"]
    assert api["labels"] == {"team": "shop", "shakedown.run": "r1", "shakedown.service": "api"}
    assert api["environment"] == {"A": "p$$q", "N": 5, "T": True}
    assert over.environment["api"] == {"A": "p$q", "N": "5", "T": "true"}
    assert data["networks"] == {
        "default": {"external": True, "name": "shakedown-r1"},
        "back": {"internal": True, "name": "shakedown-r1-back", "labels": LABELS},
    }
    assert data["volumes"] == {
        "data": {"driver_opts": {"type": "tmpfs"}, "name": "shakedown-r1-data", "labels": LABELS},
        "old": {"name": "shakedown-r1-old", "labels": LABELS},
    }
    assert (over.networks, over.volumes, over.home) == (
        ["shakedown-r1-back"],
        ["shakedown-r1-data", "shakedown-r1-old"],
        "shakedown-r1",
    )
    assert not {"depends_on", "profiles"} & set(api)
    assert api["deploy"] == {"resources": {"limits": {"memory": "64m"}}}
    assert "network_mode" not in data["services"]["worker"]
    assert data["secrets"] == {"key": {"file": "/src/key"}}
    assert over.joined["api"] == {
        "shakedown-r1": {"aliases": ["api"]},
        "shakedown-r1-back": {"aliases": ["api", "backend"]},
    }
    assert over.joined["cache"] == {"shakedown-r1-back": {"aliases": ["cache", "c"]}}, (
        "also of one that a stub stands in for"
    )
    assert api["networks"]["default"]["aliases"] == ["vendor"]
    assert api["links"] == ["db"]


def test_images_that_are_built_have_tags_of_their_own():
    """The user's tag is never overwritten; another service of that image gets what was built here."""
    _, data = made()
    tag = data["services"]["api"]["image"]
    assert tag.startswith("shakedown-compose:")
    assert data["services"]["worker"]["image"] == tag
    assert data["services"]["api"]["build"] == {"context": "/src", "labels": {"a": "b", "shakedown.image": tag}}
    assert made()[1]["services"]["api"]["image"] == tag, "the same for every run: the cache holds"
    assert data["services"]["db"]["image"] == "db"


def test_what_is_not_as_in_the_file_is_told():
    """Fewer containers, what was external, and folders of this machine that can be written."""
    assert made()[0].notes == [
        "api: one container instead of 3",
        "worker: one container instead of 2",
        "api can write into /src of this machine (at /app): that is the project's own folder",
        "the external volume old is one of the run's own, and empty",
    ]


def test_fixed_addresses_keep_their_network():
    """An address range is dropped, as two runs cannot have the same one, unless a service has an address in it."""
    config = CONFIG.replace("back: {aliases: [backend]}", "back: {ipv4_address: 10.1.0.5}")
    over, data = made(config)
    assert data["networks"]["back"]["ipam"] == {"config": [{"subnet": "10.1.0.0/24"}]}
    assert over.joined["api"]["shakedown-r1-back"] == {"aliases": ["api"], "ipv4_address": "10.1.0.5"}


def test_a_default_network_of_its_own():
    """Where the file says more of it than its name, it is made as it says, and is where other containers go."""
    over, data = made(CONFIG.replace("default: {name: shop_default}", "default: {name: x, internal: true}"))
    assert over.home == "shakedown-r1-default"
    assert data["networks"]["default"] == {"internal": True, "name": "shakedown-r1-default", "labels": LABELS}
    over, data = made(CONFIG.replace("default: {name: shop_default}", "default: {name: proxy, external: true}"))
    assert data["networks"]["default"] == {"external": True, "name": "shakedown-r1"}, "the user's network is not joined"
    assert "the external network default is one of the run's own" in over.notes


def test_what_cannot_be_told_apart_from_the_machine():
    """A service in the host's network, and one that the tool does not know, are refused."""
    with pytest.raises(EngineError, match="db has network_mode host"):
        made(CONFIG.replace("db: {image: db, networks: [back]", "db: {image: db, network_mode: host"))
    with pytest.raises(EngineError, match=r"compose\.yml has no service gone"):
        made(names=("gone",))
