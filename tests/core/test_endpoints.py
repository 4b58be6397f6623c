"""What an assistant runs and where it sends things: what counts as a change of it, what is shown, what is held."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from hublet.core import operations as ops
from hublet.core.endpoints import endpoint_changes
from hublet.core.judgement import judge
from hublet.core.ledger import ledger_from_plain, ledger_to_plain
from hublet.core.outcomes import Answered, PassReport
from hublet.core.quarantine import accept
from hublet.core.questions import Assistant, Proposed, Roster, Slug
from hublet.core.records import Content, Record
from hublet.core.snapshot import Answer, Snapshot, Terms, Unknown
from hublet.core.split import split
from hublet.core.state import State, apply
from hublet.passes.summary import summarise

MARK = "@mark:0123456789abcdef:"
DEV = Slug("dana", "dev")
DESK = Assistant(None, False, DEV)
LIST = ops.ListAssistants(None, False)
TERMS = Terms(icon=lambda url: url, etag_key=bytes(32), interval=900, longest=900, seldom=900, max_stale=7 * 86400)

CANARY = "canary-value-5d0c1f7e"


def item(config: dict[str, Any], raw: str = "", slug: Slug = DEV, **more: Any) -> dict[str, Any]:
    result = {"config": {"name": "Dev", "version": "1.0.0", **config}, "errors": [], "configLoadInterrupted": False}
    return {"configResult": result, "ownerSlug": slug.owner, "packageSlug": slug.package, "rawYaml": raw, **more}


def content(config: dict[str, Any], raw: str = "", **more: Any) -> Content:
    (fact,) = split(ops.GetAssistant(None, False, DEV), item(config, raw, **more), mark=MARK).facts
    return fact.content


def said(old: dict[str, Any], new: dict[str, Any], raw: str = "") -> list[str]:
    return [str(difference) for difference in endpoint_changes(content(old, raw), content(new, raw))]


def model(**keys: Any) -> dict[str, Any]:
    return {"models": [{"name": "M", "provider": "openai", "model": "gpt", **keys}]}


def server(**keys: Any) -> dict[str, Any]:
    return {"mcpServers": [{"name": "Git Hub", "command": "npx", **keys}]}


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (server(), server(command="sh"), ["mcpServers Git Hub: command: npx → sh"]),
        (server(), server(args=["-y", "x"]), ["mcpServers Git Hub: args is new: (a value that is not shown) "]),
        (server(args=["a"]), server(), ["mcpServers Git Hub: args is gone: it was (a value that is not shown)"]),
        (server(cwd="/a"), server(cwd="/b"), ["mcpServers Git Hub: cwd: /a → /b"]),
        (
            server(),
            server(env={"NODE_OPTIONS": "--require /tmp/x"}),
            ["mcpServers Git Hub: env NODE_OPTIONS is new: (a value that is not shown)"],
        ),
        ({}, server(), ["mcpServers Git Hub: command is new: npx"]),
        (server(), {}, []),
        (model(), model(apiBase="http://a/v1"), ["models M: apiBase: the default of openai → http://a/v1"]),
        (model(apiBase="http://a"), model(apiBase="http://b"), ["models M: apiBase: http://a → http://b"]),
        (model(apiBase="http://a"), model(), ["models M: apiBase: http://a → the default of openai"]),
        (model(), model(provider="x"), ["models M: apiBase: the default of openai → the default of x"]),
        (model(), model(model="gpt-5", roles=["chat"]), []),
        ({}, model(), []),
        ({}, model(apiBase="http://a"), ["models M: apiBase is new: http://a"]),
        (model(), model(requestOptions={"proxy": "http://p"}), ["models M: requestOptions proxy is new"]),
        ({}, {"data": [{"name": "D", "destination": "https://d"}]}, ["data D: destination is new: https://d"]),
        (
            {"context": [{"provider": "http", "params": {"url": "https://a"}}]},
            {"context": [{"provider": "http", "params": {"url": "https://b"}}]},
            ["context http: params url: (a value that is not shown) → another value"],
        ),
        (
            {},
            {"experimental": {"modelContextProtocolServers": [{"transport": {"type": "stdio", "command": "sh"}}]}},
            ["config: experimental modelContextProtocolServers 0 transport command is new: sh"],
        ),
        ({}, {"docs": [{"name": "D", "startUrl": "https://d"}], "rules": ["command: sh"]}, []),
        (
            {"mcpServers": [{"name": "A", "command": "a"}, {"name": "B", "command": "b"}]},
            {"mcpServers": [{"name": "B", "command": "b"}, {"name": "A", "command": "a"}]},
            [],
        ),
    ],
)
def test_a_change_of_what_is_run_or_talked_to_is_told(old: Any, new: Any, lines: list[str]) -> None:
    """Each kind of endpoint that is added, changed or taken away; nothing else."""
    found = said(old, new)
    assert len(found) == len(lines), found
    for have, want in zip(found, lines, strict=True):
        assert have.startswith(want.rstrip())


def test_an_on_prem_proxy_is_an_endpoint_too() -> None:
    """Its address is beside the config, not in it."""
    old, new = content({}), content({}, onPremProxyUrl="https://proxy.example")
    assert [str(d) for d in endpoint_changes(old, new)] == ["config: onPremProxyUrl is new: https://proxy.example"]


RAW = """\
name: Dev
mcpServers:
  - name: Git Hub
    command: ${{ secrets.PROGRAM }}
    args: [--dsn, "postgres://u:${{ secrets.PASSWORD }}@db/x"]
    url: https://${{ secrets.HOST }}/sse?token=${{ secrets.TOKEN }}
    env:
      TOKEN: ${{ secrets.TOKEN }}
"""


def rendered(program: str = "npx", password: str = "pw-1", host: str = "a.example", token: str = "t-1") -> Any:
    return server(
        command=program,
        args=["--dsn", f"postgres://u:{password}@db/x"],
        url=f"https://{host}/sse?token={token}",
        env={"TOKEN": token},
    )


def test_a_rotated_secret_is_no_other_endpoint_unless_it_decides_what_is_run_or_where() -> None:
    """A password or a token may change. A command or a host behind a reference may not, although the same text is shown
    for both."""
    assert said(rendered(), rendered(password="pw-2", token="t-2"), RAW) == []
    (program,) = said(rendered(), rendered(program=CANARY), RAW)
    assert program == "mcpServers Git Hub: command: ${{ secrets.PROGRAM }} → another value"
    (host,) = said(rendered(), rendered(host="evil.example"), RAW)
    assert host.endswith("url: https://${{ secrets.HOST }}/sse?token=${{ secrets.TOKEN }} → another value")


def test_what_is_kept_and_shown_of_endpoints_has_no_value() -> None:
    """Neither a secret with a name nor one that was pasted, nor what nobody can tell apart."""
    secret = content(rendered(CANARY, CANARY, CANARY, CANARY), RAW)
    pasted = content(server(args=[CANARY], env={"A": CANARY}, url=CANARY))
    for one in (secret, pasted):
        assert CANARY in "".join(value.reveal() for value in one.bindings.values())
        assert CANARY not in repr(one.traits)
        assert CANARY not in " ".join(str(d) for d in endpoint_changes(content({}), one))


def test_a_line_is_one_line_whatever_the_hub_writes() -> None:
    """It goes to logs and terminals."""
    (line,) = said({}, {"mcpServers": [{"name": "a\nERROR b\x1b[2J\u202e", "command": "x\r\ny" + "z" * 500}]})
    assert line.isprintable()
    assert len(line) < 300


def test_a_record_of_before_tells_nothing() -> None:
    """It was kept before endpoints were gathered; otherwise everything would look new."""
    old = content({})
    assert endpoint_changes(Content(old.template, old.bindings, {"title": "Dev"}), content(server())) == ()


# Judging


def report(*items: dict[str, Any], operation: ops.Operation = LIST, whole: bool = True) -> PassReport:
    reply = list(items) if operation == LIST else items[0]
    return PassReport(((operation, Answered(split(operation, reply, mark=MARK).facts)),), (), whole=whole)


def passed(state: State, now: float, *items: dict[str, Any], hold: bool = True) -> State:
    return apply(state, judge(state, report(*items), now, interval=900, hold_commands=hold))


def listed(state: State, now: float) -> list[Any]:
    answer = Snapshot(state, TERMS, now).answer(LIST, clear=True)
    assert isinstance(answer, Answer)
    return list(orjson.loads(answer.body))


def test_without_the_key_a_change_is_taken_and_told() -> None:
    """The state has it for a week, so that status tells it; the summary only of the pass that brought it."""
    first = passed(State(), 1000, item(server()), hold=False)
    assert first.ledger.moved == {}
    pass_ = report(item(server(command="sh")))
    verdict = judge(first, pass_, 2000, interval=900)
    summary = summarise(pass_, verdict, first, took=0)
    assert summary.endpoints == ("dana/dev: mcpServers Git Hub: command: npx → sh",)
    second = apply(first, verdict)
    assert listed(second, 2000)[0]["configResult"]["config"]["mcpServers"][0]["command"] == "sh"
    assert second.ledger.held == {}
    again = judge(second, pass_, 3000, interval=900)
    assert summarise(pass_, again, second, took=0).endpoints == ()
    assert DESK in again.ledger.moved
    assert judge(second, pass_, 2000 + 8 * 86400, interval=900).ledger.moved == {}


def test_a_held_change_leaves_the_last_good_one_served_until_it_is_accepted() -> None:
    """The change is in quarantine. Passes that repeat it change nothing, and accepting it takes the newest content."""
    state = passed(State(), 1000, item(server()))
    for now in (2000, 3000):
        state = passed(state, now, item(server(command="sh")))
        assert listed(state, now) == [item(server())]
        assert state.ledger.held[DESK].changes == ("mcpServers Git Hub: command: npx → sh",)
        assert state.ledger.held[DESK].since == 2000
    state = passed(state, 4000, item(server(command="bash")))
    assert ledger_from_plain(orjson.loads(orjson.dumps(ledger_to_plain(state.ledger)))) == state.ledger
    summary = summarise(report(), judge(state, report(item(server(command="zsh"))), 4500, interval=900,
                                        hold_commands=True), state, took=0)  # fmt: skip
    assert summary.endpoints == ("dana/dev is held: mcpServers Git Hub: command: npx → zsh",)
    state = apply(state, accept(state, DESK, 5000))
    assert listed(state, 5000) == [item(server(command="bash"))]
    assert state.ledger.held == {}
    assert Proposed.of(DESK) not in state.records
    assert state.ledger.moved[DESK].at == 5000
    state = passed(state, 6000, item(server(command="bash")))
    assert (state.ledger.held, state.ledger.troubles) == ({}, {})


def test_a_change_that_is_taken_back_is_forgotten() -> None:
    """Also when the key is switched off, or the assistant is withdrawn: nothing is left to accept."""
    held = passed(passed(State(), 1000, item(server())), 2000, item(server(command="sh")))
    assert Proposed.of(DESK) in held.records
    back = passed(held, 3000, item(server()))
    off = passed(held, 3000, item(server(command="sh")), hold=False)
    for state in (back, off):
        assert (state.ledger.held, state.ledger.troubles) == ({}, {})
        assert Proposed.of(DESK) not in state.records
    assert listed(off, 3000) == [item(server(command="sh"))]
    other = item({}, slug=Slug("dana", "other"))
    two = passed(passed(State(), 1000, item(server()), other), 2000, item(server(command="sh")), other)
    gone = passed(passed(two, 3000, other), 4000, other)
    assert gone.ledger.held == {}
    assert not [question for question in gone.records if isinstance(question, Proposed)]
    with pytest.raises(KeyError):
        accept(gone, DESK, 5000)


def test_a_new_assistant_waits_too_once_its_list_is_known() -> None:
    """It runs programs and nobody has accepted it yet: it is served neither in its list nor when it is asked for
    directly."""
    other = Assistant(None, False, Slug("dana", "other"))
    state = passed(State(), 1000, item({}))
    state = passed(state, 2000, item({}), item(server(), slug=other.slug))
    assert [each["packageSlug"] for each in listed(state, 2000)] == ["dev"]
    asked = ops.GetAssistant(None, False, other.slug)
    direct = report(item(server(), slug=other.slug), operation=asked, whole=False)
    state = apply(state, judge(state, direct, 2500, interval=900, hold_commands=True))
    assert isinstance(Snapshot(state, TERMS, 2500).answer(asked, clear=True), Unknown)
    state = apply(state, accept(state, other, 3000))
    assert [each["packageSlug"] for each in listed(state, 3000)] == ["dev", "other"]
    assert isinstance(state.records[other], Record)
    assert Roster(None, False) in state.records


def test_one_that_runs_nothing_new_is_not_held() -> None:
    """A new assistant of plain models, another model's name, a rotated secret."""
    state = passed(State(), 1000, item(rendered(), RAW))
    state = passed(state, 2000, item(rendered(token="t-2"), RAW), item(model(), slug=Slug("dana", "plain")))
    assert state.ledger.held == {}
    assert [each["packageSlug"] for each in listed(state, 2000)] == ["dev", "plain"]
