"""What is installed decides what can be used: the base has the numbers, an extra the rest."""

import subprocess
import sys

import pytest
from conftest import ROOT

PROGRAM = ROOT / "tests/programs/only_with.py"
NEEDS = {  # what a part of the library asks for beyond the base
    **dict.fromkeys(
        ("data", "ledger", "trading", "validation", "cointegration", "volatility", "factors"), ""
    ),
    **dict.fromkeys(("backtest", "review", "handoff", "simulate", "errors", "cli", "live"), ""),
    "venues": "",
    "pipeline": "pipeline",
    "contracts": "pipeline",
    "rendering": "pipeline",
}


def only_with(extras: str, code: str) -> str:
    "What `code` prints where only the base and `extras` are installed"
    done = subprocess.run(
        [sys.executable, PROGRAM, extras], input=code, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(("part", "extras"), NEEDS.items(), ids=NEEDS)
def test_a_part_is_imported_with_its_extras_alone(part, extras):
    code = f"import quantlab.{part} as part\nfor name in dir(part): getattr(part, name)\n"
    only_with(extras, code)


@pytest.mark.parametrize("wing", ["validation", "cointegration", "volatility", "factors"])
def test_the_examples_of_a_wing_run_on_the_base_alone(wing):
    code = (
        f"import doctest, quantlab.{wing} as wing\n"
        "results = [\n"
        "    doctest.run_docstring_examples(getattr(wing, n), vars(wing), name=n, optionflags=4)\n"
        "    for n in dir(wing)\n"
        "]\n"
    )
    assert only_with("", code) == ""


def test_what_an_extra_brings_is_asked_for_in_one_sentence():
    code = (
        "import numpy as np, pandas as pd\n"
        "from quantlab.backtest import run_backtest\n"
        "from quantlab.errors import MissingExtraError\n"
        "from quantlab.factors import ic_series\n"
        "from quantlab.review import drawdown, figure_svg, report_style\n"
        "from quantlab.volatility import change_points\n"
        "dates = pd.bdate_range('2024-01-02', periods=300)\n"
        "x = pd.DataFrame(np.random.default_rng(0).normal(0, 0.01, (300, 2)), dates, list('ab'))\n"
        "weights = x * 0 + 0.5\n"
        "result = run_backtest(weights, x)\n"
        "asked = {\n"
        "    'matplotlib': result.plot, 'matplotlib ': lambda: drawdown(x['a']),\n"
        "    'matplotlib  ': lambda: ic_series(x['a']),\n"
        "    'matplotlib   ': lambda: report_style().__enter__(),\n"
        "    'vectorbt': lambda: run_backtest(weights, x, engine='vectorbt'),\n"
        "    'ruptures': lambda: change_points(x['a']),\n"
        "}\n"
        "for package, call in asked.items():\n"
        "    try:\n"
        "        call()\n"
        "    except MissingExtraError as error:\n"
        "        words = package.strip(), 'quantlab[research]'\n"
        "        assert all(w in str(error) for w in words), error\n"
        "    else:\n"
        "        raise AssertionError(package)\n"
    )
    only_with("", code)


def test_an_import_asks_for_the_tool_it_reads_and_a_table_needs_none(tmp_path):
    code = (
        "from pathlib import Path\n"
        "from quantlab.errors import MissingExtraError\n"
        "from quantlab.ledger import *\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "(folder / 'a.csv').write_text('date,x\\n2024-01-02,0.01\\n2024-01-03,0.02\\n')\n"
        "trials = trials_from_csv(folder / 'a.csv', family='f')\n"
        "assert import_trials(Ledger(folder / 'l.jsonl'), trials).n_added == 1\n"
        "asked = {\n"
        "    'optuna': lambda: trials_from_optuna(folder / 'a.db', family='f'),\n"
        "    'mlflow': lambda: trials_from_mlflow(folder, experiment='e', family='f'),\n"
        "}\n"
        "for package, call in asked.items():\n"
        "    try:\n"
        "        call()\n"
        "    except MissingExtraError as error:\n"
        "        assert all(w in str(error) for w in (package, 'quantlab[imports]')), error\n"
        "    else:\n"
        "        raise AssertionError(package)\n"
    )
    only_with("", code)


def test_a_feed_over_the_network_asks_for_its_extra_and_messages_need_none():
    code = (
        "from quantlab.errors import MissingExtraError\n"
        "from quantlab.live import PlayedServer, RealClock, WebSocketFeed, read_message\n"
        "assert read_message('[{}]', 'alpaca').refused == ('unknown type',)\n"
        "calls = [\n"
        "    lambda: WebSocketFeed('ws://127.0.0.1:9', 'binance', ['A'], clock=RealClock()),\n"
        "    lambda: PlayedServer([], 'binance'),\n"
        "]\n"
        "for call in calls:\n"
        "    try:\n"
        "        call()\n"
        "    except MissingExtraError as error:\n"
        "        assert all(w in str(error) for w in ('websockets', 'quantlab[live]')), error\n"
        "    else:\n"
        "        raise AssertionError('no error')\n"
    )
    only_with("", code)
    only_with("live", code.partition("for call")[0] + "for call in calls: call()\n")


VENUES = {  # extra: its package, and what asks for it
    "redis": (
        "redis",
        "lambda: venues.RedisFeed('redis://127.0.0.1', 's', group='g', clock=clock)",
        "lambda: venues.RedisPublisher('redis://127.0.0.1', 's', name='n', clock=clock)",
    ),
    "rabbitmq": (
        "aio_pika",
        "lambda: venues.RabbitFeed('amqp://127.0.0.1', 'q', clock=clock)",
        "lambda: venues.RabbitPublisher('amqp://127.0.0.1', 'e', name='n', clock=clock)",
    ),
    "kafka": (
        "aiokafka",
        "lambda: venues.KafkaFeed('kafka://127.0.0.1', 't', group='g', clock=clock)",
        "lambda: venues.KafkaPublisher('kafka://127.0.0.1', 't', name='n', clock=clock)",
    ),
    "postgres": ("psycopg", "lambda: venues.PostgresStore(folder, 'host=127.0.0.1')"),
    "alpaca": (
        "httpx",
        "lambda: venues.AlpacaVenue("
        "{'KO': 70.0}, folder=folder, clock=clock, url='http://127.0.0.1:9')",
    ),
    "fix": (
        "simplefix",
        "lambda: venues.FixVenue('127.0.0.1:9', sender='A', target='B', prices={}, capital=1.0, "
        "folder=folder)",
        "lambda: venues.write_fix(venues.FixMessage('0'))",
    ),
}


@pytest.mark.parametrize("extra", VENUES)
def test_what_plugs_in_asks_for_its_extra(extra, tmp_path):
    package, *calls = VENUES[extra]
    begin = (
        "import os\n"
        "from quantlab import venues\n"
        "from quantlab.errors import MissingExtraError\n"
        "from quantlab.live import RealClock\n"
        "os.environ |= {'APCA_API_KEY_ID': 'PKA1', 'APCA_API_SECRET_KEY': 'x/1'}\n"
        f"folder, clock = {str(tmp_path)!r}, RealClock()\n"
        "venues.store_of(folder), venues.schema_of(folder)\n"
        f"calls = [{', '.join(calls)}]\n"
    )
    code = (
        "for call in calls:\n"
        "    try:\n"
        "        call()\n"
        "    except MissingExtraError as error:\n"
        f"        assert all(w in str(error) for w in ({package!r}, 'quantlab[{extra}]')), error\n"
        "    else:\n"
        "        raise AssertionError('no error')\n"
    )
    only_with("", begin + code)
    only_with(extra, begin + "for call in calls: call()\n")


def test_the_page_of_a_desk_asks_for_its_extra():
    code = (
        "from quantlab.errors import MissingExtraError\n"
        "from quantlab.live import desk_page, page_server\n"
        "calls = {\n"
        "    'fastapi': lambda: desk_page('.', None, token=''),\n"
        "    'uvicorn': lambda: page_server(None),\n"
        "}\n"
        "for package, call in calls.items():\n"
        "    try:\n"
        "        call()\n"
        "    except MissingExtraError as error:\n"
        "        assert all(w in str(error) for w in (package, 'quantlab[live]')), error\n"
        "    else:\n"
        "        raise AssertionError(package)\n"
    )
    only_with("", code)
    page = (
        "from quantlab.live import desk_file, desk_metrics, desk_sheet, page_server\n"
        "import fastapi, jinja2, prometheus_client\n"
        "server, place = page_server(fastapi.FastAPI(), port=0)\n"
        "place.close()\n"
    )
    only_with("live", page)


def test_the_ledger_and_a_bundle_are_checked_with_the_base_alone():
    code = (
        "from pathlib import Path\n"
        "from quantlab.cli import main\n"
        "bundles = sorted(str(p) for p in Path('handoff').iterdir() if p.is_dir())\n"
        "for line in (['trials', 'verify'], ['handoff', 'verify', *bundles], ['--help']):\n"
        "    try:\n"
        "        assert main(line) in (0, None), line\n"
        "    except SystemExit as stop:\n"
        "        assert not stop.code, line\n"
    )
    only_with("", code)


def test_what_builds_the_second_engine_is_asked_for_in_one_sentence(tmp_path):
    code = (
        "import os\n"
        "os.environ.pop('QUANTLAB_NAUTILUS', None)\n"
        f"os.environ['XDG_CACHE_HOME'] = {str(tmp_path)!r}\n"
        "from quantlab.errors import MissingExtraError\n"
        "from quantlab.venues import build_environment\n"
        "try:\n"
        "    build_environment()\n"
        "except MissingExtraError as error:\n"
        "    assert all(w in str(error) for w in ('uv is not', 'quantlab[dev]')), error\n"
        "else:\n"
        "    raise AssertionError('built without uv')\n"
    )
    only_with("", code)


def test_who_trains_an_agent_is_asked_for_torch_and_who_uses_one_is_not(tmp_path):
    code = (
        "from quantlab.errors import MissingExtraError\n"
        "from quantlab.execution import *\n"
        "problem = ExecutionProblem(\n"
        "    OrderBookModel.cont_stoikov_talreja(), quantity=5, n_events=200)\n"
        "agent = load_agent('nbs/65_execution/agents/ppo_0')\n"
        "assert agent.policy(problem).value < 1\n"
        "calls = {\n"
        "    'stable_baselines3': lambda: train_agent(problem, seed=0, cpu_seconds=1),\n"
        "    'gymnasium': lambda: gymnasium_env(problem),\n"
        "    'gymnasium ': lambda: stable_baselines_env(problem, 2, seed=0),\n"
        f"    'onnx': lambda: agent.export_onnx({str(tmp_path / 'agent.onnx')!r}),\n"
        "}\n"
        "for package, call in calls.items():\n"
        "    try:\n"
        "        call()\n"
        "    except MissingExtraError as error:\n"
        "        assert all(w in str(error) for w in (package.strip(), 'quantlab[rl]')), error\n"
        "    else:\n"
        "        raise AssertionError(package)\n"
    )
    only_with("", code)


def test_what_is_not_locked_is_in_no_other_extra():
    "torch comes with the extra rl alone: neither the lock nor [all] brings it"
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not any(line.startswith(("torch==", "stable-baselines3==")) for line in lock.split("\n"))
    assert "--extra all" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert 'name != "rl"' in (ROOT / "setup.py").read_text(encoding="utf-8")
