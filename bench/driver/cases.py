"""What is compared."""

from dataclasses import dataclass, field

from proxies import KEYS, Work

ALL = ("gateway", "nginx", "haproxy", "envoy")
WRONG = "Bearer atl_" + "x" * 43


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    work: Work
    # What wrk is told besides.
    load: dict = field(default_factory=lambda: {"credential": f"Bearer {KEYS[1]}"})
    proxies: tuple = ALL
    refused: bool = False


def cases(folder):
    """All cases, in the order of the report."""
    tokens = {"tokens": folder / "tokens"}
    one = {"tokens": folder / "token-one"}
    one["tokens"].write_text((folder / "tokens").read_text().splitlines()[0] + "\n")
    return [
        Case("plain", "plain proxying (ours records all the same)", Work(record=False)),
        Case("key", "key check + record", Work("key")),
        Case("key-tls", "key check + record, TLS 1.3", Work("key", tls=True)),
        Case("handshake", "full TLS 1.3 handshake + one such request", Work("key", tls=True), {
            "credential": f"Bearer {KEYS[1]}", "close": True}),
        Case("refused", "refused: a wrong key", Work("key"), {"credential": WRONG}, refused=True),
        Case("token", "ES256 token, seen before", Work("token"), one, ("gateway", "envoy")),
        Case("token-new", "ES256 token, never seen before", Work("token-uncached"), tokens, ("gateway", "envoy")),
    ]
