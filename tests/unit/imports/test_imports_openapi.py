"""OpenAPI documents as plans."""

import json
import random
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shakedown.errors import ShakedownError, UsageError
from shakedown.imports import ImportOptions, import_openapi, write_plan
from shakedown.plan import load_plan
from shakedown.plan.templates import environment, is_constant


def document(paths, **more):
    return {"openapi": "3.0.3", "info": {"title": "T", "version": "1"}, "paths": paths, **more}


def operation(**more):
    return {"responses": {"200": {"description": "ok"}}, **more}


def draft_of(tmp_path, content, **options):
    path = tmp_path / "api.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return import_openapi(path, ImportOptions(**options))


def requests_of(tmp_path, content, **options):
    text = write_plan(draft_of(tmp_path, content, **options), allow=True)
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return {one.name: one for one in load_plan(path, environ={}).plan.scenarios["operations"].http.requests}


def body_of(tmp_path, schema, **more):
    """The JSON body that a schema gives."""
    content = {"application/json": {"schema": schema}}
    paths = {"/x": {"post": operation(requestBody={"content": content})}}
    return requests_of(tmp_path, document(paths, **more))["post-x"].json_


def render(text: str) -> str:
    names = {"uuid": lambda: "0b7c", "randint": random.Random(1).randint, "choice": lambda *values: values[-1]}
    return text if is_constant(text) else environment().from_string(text).render(names)


def parameter(schema, place="query", name="p", **more):
    return {"name": name, "in": place, "required": True, "schema": schema, **more}


def test_an_operation_is_a_request(tmp_path):
    """Name, method, base path and declared answers are taken over; names are unique."""
    paths = {
        "/a": {"get": operation(operationId="list things"), "post": {"responses": {"201": {}, "202": {}, "400": {}}}},
        "/b": {"get": {"operationId": "list things", "responses": {"2XX": {}}}, "put": {"responses": {"default": {}}}},
        "/c": {"patch": {"responses": {"302": {}}}, "head": {}, "options": {}, "trace": {}},
    }
    found = requests_of(tmp_path, document(paths, servers=[{"url": "http://127.0.0.1:8080/v1/"}]))
    assert {name: (one.method, one.path, one.checks) for name, one in found.items()} == {
        "list-things": ("get", "/v1/a", ["status == 200"]),
        "post-a": ("post", "/v1/a", ["status in [201, 202]"]),
        "list-things-2": ("get", "/v1/b", ["status in 200..299"]),
        "put-b": ("put", "/v1/b", ["status in 200..299"]),
        "patch-c": ("patch", "/v1/c", ["status == 302"]),
        "head-c": ("head", "/v1/c", ["status in 200..299"]),
        "options-c": ("options", "/v1/c", ["status in 200..299"]),
    }


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "integer"}, r"/x/\d+\?p=\d{1,3}"),
        ({"type": "integer", "minimum": 5, "maximum": 6}, r"/x/\d+\?p=[56]"),
        ({"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7}, r"/x/\d+\?p=6"),
        ({"type": "integer", "minimum": 5, "exclusiveMinimum": True, "maximum": 6}, r"/x/\d+\?p=6"),
        ({"type": "integer", "minimum": 3, "multipleOf": 10}, r"/x/\d+\?p=10"),
        ({"type": "string", "format": "uuid"}, r"/x/\d+\?p=0b7c"),
        ({"type": "string", "enum": ["a", "b&{{c"]}, r"/x/\d+\?p=b%26%7B%7Bc"),
        ({"type": "string", "enum": ["a b"]}, r"/x/\d+\?p=a%20b"),
        ({"type": "string", "default": "${X}{{y"}, r"/x/\d+\?p=%24%7BX%7D%7B%7By"),
        ({"type": "string", "maxLength": 1}, r"/x/\d+\?p=p"),
        ({"type": "string", "format": "date-time"}, r"/x/\d+\?p=2024-01-15T12%3A00%3A00Z"),
        ({"type": "boolean"}, r"/x/\d+\?p=true"),
        ({"type": "number", "example": 2.50}, r"/x/\d+\?p=2.5"),
        ({"type": ["null", "integer"], "examples": [7]}, r"/x/\d+\?p=7"),
        ({"type": "array", "items": {"type": "integer"}, "example": [1, 2]}, r"/x/\d+\?p=1&p=2"),
        ({"const": "k"}, r"/x/\d+\?p=k"),
        ({"$ref": "#/components/schemas/E"}, r"/x/\d+\?p=e"),
    ],
)
def test_parameters_fit_their_schemas(tmp_path, schema, wanted):
    """Path and query values come from example, default, enum or type, escaped for an address."""
    paths = {
        "/x/{id}": {
            "parameters": [parameter({"type": "integer"}, "path", "id")],
            "get": operation(parameters=[parameter(schema)]),
        }
    }
    (found,) = requests_of(tmp_path, document(paths, components={"schemas": {"E": {"enum": ["e"]}}})).values()
    assert re.fullmatch(wanted, render(found.path)), found.path


def test_parameters_in_headers_cookies_and_lists(tmp_path):
    """Required ones are sent, those with an example too; the others are named in a comment; an operation's win."""
    paths = {"/x/{id}": {
        "parameters": [parameter({"type": "integer"}, "path", "id"), parameter({"type": "string"}, name="old")],
        "get": operation(parameters=[
            parameter({"type": "string"}, name="old", example="new"), parameter({"type": "string", "enum": ["h"]}, "header", "X-H"),
            parameter({"const": "c"}, "cookie", "one"), parameter({"const": "d"}, "cookie", "two"),
            {"name": "page", "in": "query", "schema": {}}, {"name": "size", "in": "query", "schema": {"example": 3}},
            parameter({}, name="l", example=[1, 2], explode=False), parameter({}, name="o", style="deepObject", example={"k": "v w"}),
            parameter({}, "header", "bad name"), 7, {"in": "query"}, {"name": 3, "in": "query"}, parameter({}, "header", "Accept"),
        ])}}  # fmt: skip
    (found,) = requests_of(tmp_path, document(paths)).values()
    assert re.fullmatch(r"/x/\d+\?old=new&size=3&l=1,2&o\[k\]=v%20w", render(found.path))
    assert found.headers == {"X-H": "h", "Cookie": "one=c; two=d"}
    assert "optional, left out: page" in write_plan(draft_of(tmp_path, document(paths)), allow=True)


def test_a_body_fits_its_schema(tmp_path):
    """Required fields, formats, limits, nested data and lists; what only the service writes is left out."""
    schema = {
        "type": "object", "required": ["id", "n", "f", "kind", "tags", "at", "mail", "made", "short", "nested", "ok", "void"],
        "properties": {
            "id": {"type": "string", "format": "uuid"}, "n": {"type": "integer", "minimum": 10, "multipleOf": 4},
            "f": {"type": "number", "maximum": -2}, "kind": {"enum": ["a", "b"]}, "ok": {"type": "boolean"},
            "tags": {"type": "array", "minItems": 2, "uniqueItems": True, "items": {"type": "integer"}},
            "at": {"type": "string", "format": "date"}, "mail": {"type": "string", "format": "email"},
            "made": {"type": "integer", "readOnly": True}, "short": {"type": "string", "minLength": 2, "maxLength": 3},
            "nested": {"type": "object", "properties": {"x": {"type": "array", "items": {"type": "object", "properties": {"y": {}}}}}},
            "optional": {"type": "string"}, "shown": {"type": "string", "example": 5}, "void": {"type": "null"},
        },
    }  # fmt: skip
    body = body_of(tmp_path, schema)
    assert isinstance(body, dict)
    assert render(body.pop("id")) == "0b7c"
    assert re.fullmatch(r"user\d+@example\.com", render(body.pop("mail")))
    assert render(body.pop("nested")["x"][0]["y"]).startswith("y-")
    assert render(body.pop("kind")) == "b"
    assert body == {"n": 12, "f": -2, "ok": True, "tags": [1, 2], "at": "2024-01-15", "short": "sh"[:3].ljust(2, "x") + "o",
                    "shown": "5", "void": None}  # fmt: skip


def test_all_of_one_of_and_references(tmp_path):
    """Parts are put together; of alternatives the first that is not null is taken."""
    schemas = {
        "Base": {"type": "object", "required": ["a"], "properties": {"a": {"const": 1}}},
        "Both": {
            "allOf": [
                {"$ref": "#/components/schemas/Base"},
                {"required": ["b"], "properties": {"b": {"const": "${B}"}}},
            ]
        },
        "Either": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Both"}, {"type": "integer"}]},
    }
    body = body_of(tmp_path, {"$ref": "#/components/schemas/Either"}, components={"schemas": schemas})
    assert body == {"a": 1, "b": "${B}"}


def test_references_that_go_round_end(tmp_path):
    """A schema inside itself, a chain of references without end and one to nowhere all end."""
    schemas = {
        "Tree": {"type": "object", "required": ["name", "children", "parent"], "properties": {
            "name": {"const": "n"}, "parent": {"$ref": "#/components/schemas/Tree"},
            "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}},
        "A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"},
        "All": {"allOf": [{"$ref": "#/components/schemas/All"}, {"properties": {"x": {"const": 1}}}]},
    }  # fmt: skip
    components = {"schemas": schemas}
    assert body_of(tmp_path, {"$ref": "#/components/schemas/Tree"}, components=components) == {
        "name": "n",
        "children": [],
    }
    assert body_of(tmp_path, {"$ref": "#/components/schemas/All"}, components=components) == {"x": 1}
    for name in ("#/components/schemas/A", "#/none/at/all", "other.yaml#/x", "#", "#/paths"):
        body_of(tmp_path, {"type": "object", "properties": {"p": {"$ref": name}}}, components=components)
    draft = draft_of(tmp_path, document({"/x": {"get": {"$ref": "other.yaml#/x"}}}))
    assert "other.yaml#/x" in write_plan(draft, allow=True)


def test_other_bodies(tmp_path):
    """Forms, multipart, text and JSON of a type of its own; an example goes before the schema."""
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"const": "1 2"}, "b": {}, "f": {"format": "binary"}},
    }

    def post(kind, **media):
        return {"post": operation(requestBody={"content": {kind: media}})}

    paths = {
        "/form": post("application/x-www-form-urlencoded", schema=schema),
        "/parts": post("multipart/form-data", schema={**schema, "required": []}),
        "/text": post("text/plain", example="{{ a }}"),
        "/xml": post("application/xml", schema=schema),
        "/patch": post("application/merge-patch+json", example={"k": ["${v}"]}),
        "/named": post("application/json", examples={"one": {"value": [1]}}),
        "/none": post("application/json"),
    }
    found = requests_of(tmp_path, document(paths))
    assert found["post-form"].form == {"a": "1 2"}
    assert 'name="f"; filename="file.txt"\r\nContent-Type: text/plain\r\n\r\nexample\r\n--' in render(
        found["post-parts"].body
    )
    assert render(found["post-text"].body) == "{{ a }}"
    assert found["post-xml"].headers == {"Content-Type": "application/xml"}
    assert found["post-patch"].json_ == {"k": ["${v}"]}
    assert found["post-patch"].headers == {"Content-Type": "application/merge-patch+json"}
    assert found["post-named"].json_ == [1]
    assert "change: write the application/xml body" in write_plan(draft_of(tmp_path, document(paths)), allow=True)


def test_security_becomes_variables_to_be_set(tmp_path):
    """Every kind of scheme is a header, parameter or cookie with a variable; an operation may need none."""
    schemes = {
        "bear": {"type": "http", "scheme": "bearer"}, "base": {"type": "http", "scheme": "basic"},
        "key": {"type": "apiKey", "in": "header", "name": "X-Key"}, "q": {"type": "apiKey", "in": "query", "name": "k"},
        "c": {"type": "apiKey", "in": "cookie", "name": "sid"}, "o": {"type": "oauth2", "flows": {}}, "m": {"type": "mutualTLS"},
    }  # fmt: skip
    paths = {f"/{name}": {"get": operation(security=[{name: []}])} for name in [*schemes, "unknown"]}
    paths["/open"] = {"get": operation(security=[])}
    paths["/both"] = {"get": operation(security=[{}, {"key": [], "q": []}])}
    paths["/default"] = {"get": operation()}
    content = document(paths, components={"securitySchemes": schemes}, security=[{"bear": []}])
    found = requests_of(tmp_path, content)
    assert found["get-bear"].headers == found["get-default"].headers == {"Authorization": "Bearer replace-me"}
    assert found["get-base"].headers == {"Authorization": "Basic replace-me"}
    assert found["get-key"].headers == found["get-both"].headers == {"X-Key": "replace-me"}
    assert found["get-q"].path == "/q?k=replace-me"
    assert found["get-c"].headers == {"Cookie": "sid=replace-me"}
    assert found["get-open"].headers == {}
    draft = draft_of(tmp_path, content)
    assert set(draft.variables) == {"BEAR_TOKEN", "BASE_TOKEN", "KEY_TOKEN", "Q_TOKEN", "C_TOKEN", "O_TOKEN"}
    assert write_plan(draft, allow=True).count("has to be written by hand") == 2


def test_delete_only_and_limit(tmp_path):
    """DELETE is a comment, --only finds by path, name or tag, --limit bounds the plan."""
    paths = {"/a": {"get": operation(tags=["one"]), "delete": operation()}, "/b": {"get": operation(operationId="bee")}}
    content = document(paths)
    assert list(requests_of(tmp_path, content)) == ["get-a", "bee"]
    assert list(requests_of(tmp_path, content, all_methods=True)) == ["get-a", "delete-a", "bee"]
    assert list(requests_of(tmp_path, content, only="^one$|bee")) == ["get-a", "bee"]
    assert list(requests_of(tmp_path, content, limit=1)) == ["get-a"]
    with pytest.raises(UsageError, match=r"1 DELETE requests \(--all-methods"):
        requests_of(tmp_path, content, only="DELETE")
    with pytest.raises(UsageError, match="3 operations that --only does not find"):
        requests_of(tmp_path, content, only="nothing")


def test_the_address(tmp_path):
    """Servers with variables, relative ones, none, and --url with and without a path."""
    paths = {"/health": {"get": operation()}, "/x": {"get": operation()}}
    servers = [{"url": "https://{h}.example.com:444/v2", "variables": {"h": {"default": "API"}}}]
    draft = draft_of(tmp_path, document(paths, servers=servers))
    assert (draft.url, draft.requests[1].path, draft.health) == ("https://api.example.com:444", "/v2/x", "/v2/health")
    draft = draft_of(tmp_path, document(paths, servers=servers), url="http://localhost:1")
    assert (draft.url, draft.requests[1].path) == ("http://localhost:1", "/v2/x")
    draft = draft_of(tmp_path, document(paths, servers=servers), url="http://localhost:1/v3/")
    assert (draft.url, draft.requests[1].path) == ("http://localhost:1", "/v3/x")
    for servers in ([{"url": "/api"}], [{"url": "http://[::"}], [], [7], "x"):
        draft = draft_of(tmp_path, document(paths, servers=servers))
        assert (draft.url, draft.guessed) == ("http://127.0.0.1:8000", True)
    with pytest.raises(UsageError, match="--url is no address"):
        draft_of(tmp_path, document(paths), url="nonsense")


def test_yaml_is_read_as_json_has_it(tmp_path):
    """Dates, `no`, 0123 and 12:30 stay texts; numeric keys are keys."""
    text = """
openapi: 3.1.0
info: {title: x}
paths:
  /x:
    post:
      requestBody: {content: {application/json: {example: {a: 2020-01-01, b: no, c: 0123, d: 12:30:00, e: 1.5, f: null, g: true, h: ~}}}}
      responses: {200: {}}
"""
    body = requests_of(tmp_path, text)["post-x"].json_
    assert body == {
        "a": "2020-01-01",
        "b": "no",
        "c": "0123",
        "d": "12:30:00",
        "e": 1.5,
        "f": None,
        "g": True,
        "h": None,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"swagger": "2.0", "paths": {}}', "Swagger 2.0"),
        ("openapi: 2.0.0\npaths: {}", "OpenAPI 2.0.0"),
        ("openapi: 4.0.0\npaths: {}", "OpenAPI 4.0.0"),
        ("openapi: 3.0.0", "no `paths`"),
        ("openapi: 3.0.0\npaths: {}", "no request is left"),
        ("openapi: 3.0.0\npaths: []", "no `paths`"),
        ('{"openapi": "3.0.0", "paths": {', "neither JSON nor YAML"),
        ("just text", "no OpenAPI document"),
        ("- a\n- b", "no OpenAPI document"),
        ("", "empty"),
        ("a: [", "neither JSON nor YAML"),
        ("a: !!python/object:os.system x", "neither JSON nor YAML"),
        ("{? [a]: b}", "neither JSON nor YAML"),
        ("[" * 50_000, "nested too deep"),
        ("a: " * 5000, "neither JSON nor YAML"),
        ("a: \x00", "neither JSON nor YAML"),
        ("&a [*a]", "no OpenAPI document"),
    ],
)
def test_what_is_no_document_is_said(tmp_path, text, said):
    """Every file that is not OpenAPI 3 ends in one clear error."""
    with pytest.raises(UsageError, match=said):
        write_plan(draft_of(tmp_path, text), allow=True)


def test_anchors_that_multiply_and_contain_themselves_end(tmp_path):
    """Ten layers of ten aliases, or an anchor inside itself, in an example: bounded."""
    layers = "\n".join(f"x{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10))
    text = f"""openapi: 3.0.0
x0: &l0 [a]
{layers}
x: &self {{inner: *self}}
paths:
  /a: {{post: {{requestBody: {{content: {{application/json: {{example: *l9}}}}}}}}}}
  /b: {{post: {{requestBody: {{content: {{application/json: {{example: *self}}}}}}}}}}
"""
    found = requests_of(tmp_path, text)
    assert len(json.dumps(found["post-a"].json_)) < 10_000


KEYS = ["type", "properties", "required", "items", "allOf", "oneOf", "anyOf", "$ref", "enum", "example", "default", "const", "format",
        "minimum", "maximum", "exclusiveMinimum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems",
        "pattern", "readOnly", "a", "{{b", "examples"]  # fmt: skip
LEAVES = st.sampled_from(["object", "array", "string", "integer", "number", "uuid", "date", "email", "#/components/schemas/S", "#", "#/paths",
                          "a", "{{ x", "${Y}", "[", True, False, None, 0, 1, -1, 3, 10**18, 10**400, 1.5, float("inf"), float("nan")])  # fmt: skip
SCHEMA = st.recursive(
    LEAVES | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@given(
    schema=SCHEMA,
    other=SCHEMA,
    kind=st.sampled_from(["application/json", "multipart/form-data", "application/x-www-form-urlencoded"]),
)
def test_any_schema_ends_in_a_plan_that_loads(tmp_path_factory, schema, other, kind):
    """Whatever stands where a schema should: the plan loads, and every text in it renders."""
    folder = tmp_path_factory.getbasetemp()
    paths = {"/x/{p}": {"post": operation(
        parameters=[parameter(schema, "path"), parameter(other), parameter(schema, "header", "X-H"), other],
        requestBody={"content": {kind: {"schema": schema}}}, security=other)}}  # fmt: skip
    content = document(paths, components={"schemas": {"S": other}, "securitySchemes": schema})
    (folder / "api.json").write_text(json.dumps(content), encoding="utf-8")
    try:
        draft = import_openapi(folder / "api.json", ImportOptions())
    except ShakedownError as error:
        assert error.exit_code == 2, error
        return
    (folder / "api-plan.yaml").write_text(write_plan(draft, allow=False), encoding="utf-8")
    (found,) = load_plan(folder / "api-plan.yaml", environ={}).plan.scenarios["operations"].http.requests
    assert render(found.path).isascii()
    for text in [*found.headers.values(), found.body or "", *(found.form or {}).values()]:
        render(text)
