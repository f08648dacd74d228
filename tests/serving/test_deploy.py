"""The container and the manifests, read without an engine and without a cluster: they must agree with the server."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dfd.cli import main
from dfd.config import ServeConfig
from dfd.serving.work import memory_for
from tests.serving.running import Running

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
FILES = [path for path in sorted(KUBERNETES.glob("*.yaml")) if path.name != "kustomization.yaml"]


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [one for path in FILES for one in yaml.safe_load_all(path.read_text()) if one["kind"] == kind]
    return found


def dockerfile() -> list[tuple[str, str]]:
    lines = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M).replace("\\\n", "").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


def entrypoint() -> list[str]:
    return json.loads(dict(dockerfile())["ENTRYPOINT"])


def pod() -> dict[str, Any]:
    return manifest("Deployment")["spec"]["template"]["spec"]


def container() -> dict[str, Any]:
    (one,) = pod()["containers"]
    return one


def test_the_containers_command_line_is_one_that_dfd_takes(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, command, *settings = [*entrypoint(), *container()["args"]]
    assert (program, command) == ("dfd", "serve")
    assert main(["serve", *settings, "--cfg", "job"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["bundle"], shown["host"], shown["port"]) == ("/bundle", "0.0.0.0", 8000)


def test_the_image_is_small_and_its_user_is_nobody() -> None:
    lines = dockerfile()
    assert [rest for word, rest in lines if word == "FROM"][-1] == "python:3.11-slim"
    assert dict(lines)["USER"] == "10001:10001"
    assert "download.pytorch.org/whl/cpu" in (ROOT / "Dockerfile").read_text()
    assert not any("curl" in rest or "gcc" in rest for _, rest in lines)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = {name for word, rest in lines if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]}
    assert "*" in ignored and copied <= {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)


def test_probes_ask_what_the_server_answers(served: Running) -> None:
    one = container()
    asked = [one[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
    asked += re.findall(r"127\.0\.0\.1:8000(/[\w/]+)", dict(dockerfile())["HEALTHCHECK"])
    assert len(asked) == 4
    assert all(served.client.get(path).status_code == 200 for path in asked)
    assert asked[2].endswith("live")  # a busy or ending server must not be killed


def test_ports_and_names_agree() -> None:
    (port,) = container()["ports"]
    assert port["containerPort"] == 8000 and f"port={port['containerPort']}" in entrypoint()
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("Service")["spec"]["selector"] == labels
    assert manifest("Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        spec = manifest(kind)["spec"]
        assert (spec.get("selector") or spec["podSelector"])["matchLabels"] == labels
    assert manifest("NetworkPolicy")["spec"]["ingress"][0]["ports"][0]["port"] == port["name"]
    target = manifest("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", manifest("Deployment")["metadata"]["name"])
    names = {volume["name"] for volume in pod()["volumes"]}
    assert {mount["name"] for mount in container()["volumeMounts"]} == names


def test_the_pod_can_do_no_more_than_it_needs() -> None:
    one = container()
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["securityContext"]["runAsNonRoot"] and not pod()["automountServiceAccountToken"]
    assert pod()["securityContext"]["runAsUser"] == int(dict(dockerfile())["USER"].split(":")[0])
    assert set(one["resources"]["limits"]) >= {"cpu", "memory"} and set(one["resources"]["requests"]) == {
        "cpu",
        "memory",
    }
    assert manifest("NetworkPolicy")["spec"]["egress"] == []
    (key,) = [each for each in one["env"] if each["name"] == ServeConfig.api_key_env]
    assert "secretKeyRef" in key["valueFrom"]


def test_there_is_time_to_finish_before_the_pod_is_killed() -> None:
    drain = next(float(word.partition("=")[2]) for word in container()["args"] if word.startswith("drain_seconds="))
    pause = float(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod()["terminationGracePeriodSeconds"] >= pause + drain + 5


def test_the_list_names_all_manifests() -> None:
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == [path.name for path in FILES]


def test_threads_and_memory_fit_the_pods_limits() -> None:
    one = container()
    (threads,) = [each for each in one["env"] if each["name"] == "OMP_NUM_THREADS"]
    assert threads["valueFrom"] == {"resourceFieldRef": {"resource": "limits.cpu"}}
    (most,) = [int(word.partition("=")[2]) for word in one["args"] if word.startswith("max_pixels=")]
    limits = one["resources"]["limits"]
    processes = int(limits["cpu"]) + 1  # decoding, and heat maps
    assert limits["memory"].endswith("Gi")
    # Kubernetes ends the whole container at its limit: all of them at their most, and the networks, fit below it.
    assert int(limits["memory"][:-2]) * 2**30 >= processes * memory_for(most) + 1.2 * 10**9


@pytest.mark.parametrize("file", ["Dockerfile", "docs/serving.md"])
def test_who_opens_a_port_to_others_is_shown_how_to_set_a_key(file: str) -> None:
    shown = re.findall(r"docker run --rm(?:.*\\\n)*.*", (ROOT / file).read_text())
    assert shown and all("-e DFD_API_KEY" in one for one in shown)


def test_the_long_run_against_the_description_is_one_word() -> None:
    def made(*words: str) -> str:
        return subprocess.run(["make", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    ran = made("--no-print-directory", "-n", "-o", ".venv/.installed", "fuzz").strip()
    assert ran == "DFD_EXAMPLES=300 .venv/bin/python -m pytest -n 0 tests/serving/test_openapi.py"
    assert "make fuzz " in made("help")
