"""Results kept on S3: pushed from one clone and pulled into another, through a local server."""

import os
import subprocess
import sys

import pytest

moto = pytest.importorskip("moto.server", reason="moto, of the tests' packages, stands in for S3")
boto3 = pytest.importorskip("boto3", reason="dvc-s3 brings it")

STAGES = """\
stages:
  make:
    cmd: {python} -c "open('numbers.csv', 'w').write('a,b\\n1,2\\n' * 1000)"
    outs:
      - numbers.csv:
          persist: true
"""
KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}


@pytest.fixture
def endpoint(monkeypatch):
    "Address of an S3 of this machine that holds the bucket `results`"
    for name, value in {**KEYS, "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "*"}.items():
        monkeypatch.setenv(name, value)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket="results")
    yield address
    server.stop()


def run(folder, *command, code=0):
    "What a command says on both streams; its exit code must be `code`"
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": f"{folder}-cache"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def git(folder, *arguments):
    who = ("-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false")
    return run(folder, "git", *who, *arguments)


def dvc(folder, *arguments, code=0):
    return run(folder, sys.executable, "-m", "dvc", *arguments, code=code)


@pytest.mark.slow
def test_results_pushed_to_s3_are_pulled_into_a_fresh_clone(endpoint, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    git(here, "init", "-q")
    dvc(here, "init", "-q")
    (here / "dvc.yaml").write_text(STAGES.format(python=sys.executable))
    dvc(here, "repro", "-q")
    dvc(here, "remote", "add", "-q", "-d", "results", "s3://results/project")
    dvc(here, "remote", "modify", "results", "endpointurl", endpoint)
    dvc(here, "push", "-q")
    git(here, "add", "-A")
    git(here, "commit", "-qm", "results on S3")
    stored = boto3.client("s3", endpoint_url=endpoint).list_objects_v2(Bucket="results")
    assert all(o["Key"].startswith("project/files/md5/") for o in stored["Contents"])
    there = tmp_path / "there"
    git(tmp_path, "clone", "-q", str(here), str(there))
    assert not (there / "numbers.csv").exists()
    dvc(there, "pull", "-q")
    assert (there / "numbers.csv").read_bytes() == (here / "numbers.csv").read_bytes()
    assert "up to date" in dvc(there, "status")
    assert "nobody" not in "".join(p.read_text() for p in (there / ".dvc").glob("config*"))


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_said(endpoint, tmp_path):
    git(tmp_path, "init", "-q")
    dvc(tmp_path, "init", "-q")
    (tmp_path / "dvc.yaml").write_text(STAGES.format(python=sys.executable))
    dvc(tmp_path, "repro", "-q")
    dvc(tmp_path, "remote", "add", "-q", "-d", "results", "s3://elsewhere")
    dvc(tmp_path, "remote", "modify", "results", "endpointurl", endpoint)
    assert "bucket does not exist" in dvc(tmp_path, "push", code=1)
