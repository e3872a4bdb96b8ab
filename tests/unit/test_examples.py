"""Examples of the documentation are read as they are written."""

from __future__ import annotations

import pytest
from examples import Call, StackService, interpolate, matches, read_console, read_page, read_stack

PAGE = """# Shop

```yaml
services:
  shop:
    deploy:
      replicas: 3
      labels:
        com.df.port: "8080"
```

```console
$ curl -i http://localhost/shop
HTTP/1.1 200 OK
...
$ curl -H "X-A: b c" \\
    http://localhost/
```

```jinja /templates/shop.cfg
backend shop
```

```yaml
com.df.port: "8080"
```

```yaml
services:
  other:
    deploy: {labels: [com.df.port=80]}
```
"""


def test_a_page_is_split_into_stacks_with_their_calls_and_files() -> None:
    first, second = read_page(PAGE)

    assert first.line == 3
    assert first.services == {"shop": StackService({"com.df.port": "8080"}, 3)}
    assert first.calls == (
        Call(("curl", "-i", "http://localhost/shop"), ("HTTP/1.1 200 OK", "...")),
        Call(("curl", "-H", "X-A: b c", "http://localhost/"), ()),
    )
    assert first.files == {"/templates/shop.cfg": "backend shop\n"}
    assert second.services == {"other": StackService({"com.df.port": "80"}, 1)}
    assert second.calls == ()


def test_a_page_without_a_stack_has_calls_all_the_same() -> None:
    (example,) = read_page("```console\n$ curl http://localhost/\nhello\n```\n")

    assert example.services == {}
    assert len(example.calls) == 1


@pytest.mark.parametrize("text", ["$ docker ps\n", "hello\n"])
def test_only_curl_is_run(text: str) -> None:
    with pytest.raises(ValueError, match="curl"):
        read_console(text)


@pytest.mark.parametrize("value", ["true", "8080"])
def test_a_label_without_quotes_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="in quotes"):
        read_stack(f"services: {{web: {{deploy: {{labels: {{com.df.x: {value}}}}}}}}}")


@pytest.mark.parametrize(
    ("expected", "matching"),
    [
        (["a", "b"], True),
        (["a"], True),
        (["b"], False),
        (["...", "c"], True),
        (["a", "...", "c"], True),
        (["a", "c"], False),
        (["...", "c", "...", "a"], False),
        (["a", "...", "long line"], False),
        (["...", "a long ... here"], True),
        (["...", "a long...other"], False),
    ],
)
def test_an_output_begins_with_the_expected_lines(expected: list[str], matching: bool) -> None:
    assert matches(expected, "a\r\nb\nc\na long line here\n") == matching


def test_variables_are_replaced_as_docker_does() -> None:
    assert interpolate("$$5 ${A} $A", {"A": "x"}) == "$5 x x"
    with pytest.raises(KeyError):
        interpolate("${B}", {})
