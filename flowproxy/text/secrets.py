"""Hides passwords, tokens and keys in answers of the API, in the log and in errors.

A secret is recognized by the name before it: of a parameter, a header or a variable. Configuration is split into words
as HAProxy does it (`lines.words_of`), so that quotes hide no name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from flowproxy.text.lines import words_of

HIDDEN = "(hidden)"

_PARAMETERS = frozenset({"users", "servicecert"})
# Names that sound like secrets, of parameters that are names or switches.
_NO_SECRETS = frozenset({"userssecret", "userspassencrypted", "ignoreauthorization", "sessiontype"})
_WITH_HEADERS = frozenset(
    "addheader setheader addreqheader setreqheader addresheader setresheader delreqheader delresheader".split()
)
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_SECRET_PARTS = frozenset(
    "apikey auth authorization authentication cookie cookies credential credentials jwt key keys passphrase passwd"
    " password passwords pwd secret secrets session sessionid signature token tokens".split()
)

_PASSWORDS = frozenset({"password", "insecure-password"})
_BEFORE_A_HEADER = frozenset("add-header set-header replace-header replace-value early-hint hdr header".split())
_ENDS_VALUES = frozenset({"if", "unless", "}", "||", "or"})
_FLAGS = frozenset({"-m", "-i", "-n", "--"})
# A name between parentheses, of a header, a cookie, a variable or a parameter that an expression reads or writes.
_NAMED_BY = re.compile(r"\b(?P<what>[A-Za-z0-9_.-]{1,64})\((?:txn\.|req\.|res\.|sess\.|proc\.)?(?P<name>[^(),]{0,128})")
_COOKIE = re.compile(r"(?:re[qs]\.|s)?cook(?:_\w+)?")
_KEYED = re.compile(r"\b(?P<name>hmac|aes_\w+|jwt_verify\w*)\([^)]*\)?")
_IN_URL = re.compile(r"(?<=://)[^/?#@\s]+@")
_SCHEME = re.compile(
    r"\b(?P<scheme>Bearer|Basic|Digest|Negotiate|ApiKey|AUTH|PASS|Token)(?P<space>[ \t]+)\S.*",
    re.IGNORECASE | re.DOTALL,
)
_NAMED_VALUE = re.compile(r"(?<![A-Za-z0-9_.-])(?P<name>[A-Za-z0-9_.-]{1,64})(?P<between>\s*[:=]\s*|\s+)(?=\S)")
# Only lines that contain one of these are parsed, and lines where quotes or backslashes hide one.
_SUSPECT = (
    "auth cook credential digest hmac jwt key pass pwd secret session signature token basic bearer negotiate :// aes_"
    " \\x".split()
)
_QUOTING = re.compile(r"[\"'\\]")
_HEXADECIMAL = re.compile(r"\\x([0-9A-Fa-f]{2})")

# Given words and the number of one, returns the number of the first secret value that it names, or None.
_Rule: TypeAlias = Callable[[Sequence[str], int], int | None]


def is_secret(parameter: str) -> bool:
    """Return whether the value of a parameter, by its public name with or without an index, must not be shown.

    An unknown parameter is judged by the words of its name: `password`, `token`, `apiKey`.
    """
    base = parameter.partition(".")[0]
    if base.lower() in _PARAMETERS:
        return True
    return base.lower() not in _NO_SECRETS and is_secret_name(base)


def is_secret_name(name: str) -> bool:
    """Return whether the value of a header, a variable or a parameter of this name must not be shown."""
    parts = {part.lower() for part in _PARTS.findall(name) if not part.isdigit()}
    return parts != {"key"} and not parts.isdisjoint(_SECRET_PARTS)


def shown(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters with their secrets hidden."""
    return {name: shown_value(name, value) for name, value in parameters.items()}


def shown_value(parameter: str, value: str) -> str:
    """Return the value of a parameter with its secrets hidden."""
    base = parameter.partition(".")[0].lower()
    if is_secret(parameter):
        return HIDDEN
    if base == "serviceheader":
        return without_secrets_in_text(value)
    if base in _WITH_HEADERS:
        return "\n".join(_hidden(line, _in_headers) for line in value.split("\n"))
    return without_secrets(value)


def header_value(name: str, value: str) -> str:
    """Return the value of a header with its secrets hidden."""
    return HIDDEN if is_secret_name(name) else _without_patterns(value)


def without_secrets(configuration: str) -> str:
    """Return lines of HAProxy configuration with their secrets hidden."""
    return "\n".join(_hidden(line, _in_line) if _is_suspect(line) else line for line in configuration.split("\n"))


def without_secrets_of(line: str, complaint: str) -> str:
    """Return HAProxy's complaint about a line, without the secrets of that line."""
    try:
        words = words_of(line)
    except ValueError:
        return without_secrets_in_text(complaint)
    secret = frozenset(_secret_words([word.text for word in words], _in_line))
    hidden: set[str] = set()
    for number, word in enumerate(words):
        shown_word = "" if number in secret else _without_patterns(word.text)
        if shown_word != word.text:
            hidden |= _pieces(word.text) - _pieces(shown_word)
    for piece in sorted(hidden, key=len, reverse=True):
        # A short one may be part of any word, but HAProxy quotes it.
        complaint = complaint.replace(piece if len(piece) > 3 else f"'{piece}'", HIDDEN)
    return _without_patterns(complaint)


def without_secrets_in_text(text: str) -> str:
    """Return a text that quotes values, up to the first value with a secret name."""
    plain = _QUOTING.sub("", _HEXADECIMAL.sub(lambda found: chr(int(found[1], 16)), text))
    for found in _NAMED_VALUE.finditer(plain):
        if is_secret_name(found["name"]):
            return f"{plain[: found.end()]}{HIDDEN}"
    return _without_patterns(text)


def _pieces(text: str) -> set[str]:
    """Return a text and the parts of it that an error may quote alone."""
    return {text, *re.split(r"[\s:=,()@/]+", text)} - {""}


def _is_suspect(line: str) -> bool:
    lowered = line.lower()
    return any(part in lowered for part in _SUSPECT) or _hides_something(lowered)


def _hides_something(lowered: str) -> bool:
    bare = _QUOTING.sub("", lowered)
    return bare != lowered and any(part in bare for part in _SUSPECT)


def _hidden(line: str, begin: _Rule) -> str:
    """Return a line with its secret words hidden, and with everything after a secret name in its comment."""
    try:
        words = words_of(line)
    except ValueError:
        return without_secrets_in_text(line)
    secret = frozenset(_secret_words([word.text for word in words], begin))
    written, end = [], 0
    for number, word in enumerate(words):
        bare = _without_patterns(word.text)
        as_written = line[word.start : word.end]
        written += [line[end : word.start], HIDDEN if number in secret else as_written if bare == word.text else bare]
        end = word.end
    return "".join([*written, without_secrets_in_text(line[end:])])


def _in_line(words: Sequence[str], number: int) -> int | None:
    """Return where the values begin that a word of a configuration line names as secret."""
    word = words[number]
    if word in _PASSWORDS or (word == "auth" and number and words[number - 1] == "stats"):
        return number + 1
    if word in _BEFORE_A_HEADER and any(map(is_secret_name, words[number + 1 : number + 2])):
        return number + 2
    return number + 1 if word == "set-cookie" or _names_a_secret(word) else None


def _in_headers(words: Sequence[str], number: int) -> int | None:
    """Return the same for headers as `Name value`, of which several may stand with any separator between them."""
    last = re.split(r"[^A-Za-z0-9_.-]", words[number])[-1]
    return number + 1 if is_secret_name(last) or _names_a_secret(words[number]) else None


def _secret_words(words: Sequence[str], begin: _Rule) -> Iterator[int]:
    """Yield the numbers of the secret words: values up to a condition, without the flags of a comparison."""
    number = 0
    while number < len(words):
        first = begin(words, number)
        if first is None:
            number += 1
            continue
        number = first
        while number < len(words) and words[number] not in _ENDS_VALUES:
            if words[number] not in _FLAGS and words[number - 1] != "-m":
                yield number
            number += 1


def _names_a_secret(word: str) -> bool:
    return any(map(_is_of_a_secret, _NAMED_BY.finditer(word)))


def _is_of_a_secret(found: re.Match[str]) -> bool:
    return bool(_COOKIE.fullmatch(found["what"])) or is_secret_name(found["name"])


def _without_patterns(text: str) -> str:
    """Return a text without the parts that look like a secret wherever they stand."""
    text = _IN_URL.sub(f"{HIDDEN}@", text)
    text = _KEYED.sub(rf"\g<name>({HIDDEN})", text)
    text = _SCHEME.sub(rf"\g<scheme>\g<space>{HIDDEN}", text)
    if "\n" in text:  # the lines of a request inside one word
        for found in _NAMED_VALUE.finditer(text):
            if is_secret_name(found["name"]):
                return f"{text[: found.end()]}{HIDDEN}"
    return text
