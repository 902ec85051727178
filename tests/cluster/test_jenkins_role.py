"""jenkins/rbac.yaml on a real API server: the Role `rollback` is enough for a run, and every verb of it is needed."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product

RBAC = Path(__file__).parents[2] / "jenkins" / "rbac.yaml"
USER = "user-service"
# Asked for where a release changes such an object, which these two do not; `tests/test_jenkins_folder.py` has the list.
WHERE_CHANGED = "get configmaps", "patch configmaps", "get services", "patch services"
Rule = Mapping[str, list[str]]


def role(namespace: str) -> list[Rule]:
    text = RBAC.read_text(encoding="utf-8").replace("resourceNames: [ecommerce]", f"resourceNames: [{namespace}]")
    (found,) = (
        each["rules"]
        for each in yaml.safe_load_all(text)
        if each["kind"] == "Role" and each["metadata"]["name"] == "rollback"
    )
    return list(found)


def less_one_verb(rules: list[Rule]) -> Iterator[tuple[str, list[Rule]]]:
    """(what is taken away, the rest), for each verb of each resource."""
    single = [
        {**r, "resources": [kind], "verbs": [verb]} for r in rules for kind in r["resources"] for verb in r["verbs"]
    ]
    for i, each in enumerate(single):
        yield f"{each['verbs'][0]} {each['resources'][0]}", [*single[:i], *single[i + 1 :]]


def test_the_agent_s_role_is_enough_and_every_verb_of_it_is_needed(shop: ShopFactory) -> None:
    made = shop(services=[USER])
    made.deploy("v1.1.0")
    made.deploy("v1.2.0")
    made.wait_ready()
    made.rollback_yaml()
    rules = role(made.namespace)
    goes = set()
    for taken, rest in less_one_verb(rules):
        made.cluster.grant("named", made.namespace, rest)
        if Product(made, user="named").run("--dry-run", code=None).code != 3:
            goes.add(taken)
    assert goes == set(WHERE_CHANGED)
    made.cluster.grant("named", made.namespace, rules)
    Product(made, user="named").run()
    assert made.served(USER) == "v1.1.0"
