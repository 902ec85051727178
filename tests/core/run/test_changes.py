"""What kubectl's last line says about trying again."""

import pytest

from rollback_lib.core.run.changes import worth_another_try


@pytest.mark.parametrize(
    "said",
    [
        "Error from server (TooManyRequests): Too many requests, please try again later.",
        "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
        "Error from server (InternalError): an error on the server has prevented the request from succeeding",
        "Error from server (Timeout): Timeout: request did not complete within requested timeout",
        "Unable to connect to the server: read tcp 127.0.0.1:4->127.0.0.1:3: read: connection reset by peer",
        "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?",
        "error: unexpected error when reading response body. Please retry. Original error: unexpected EOF",
        "error: client rate limiter Wait returned an error: context deadline exceeded - error from a previous attempt",
    ],
)
def test_a_server_in_trouble_is_asked_again(said: str) -> None:
    assert worth_another_try(said)


@pytest.mark.parametrize(
    "said",
    [
        'Error from server (Forbidden): deployments.apps "a" is forbidden: User "x" cannot patch resource',
        'Error from server (NotFound): deployments.apps "a" not found',
        "Error from server (Invalid): the server rejected our request due to an error in our request",
        'Error from server (Conflict): Operation cannot be fulfilled on deployments.apps "a"',
        'Error from server (AlreadyExists): configmaps "a" already exists',
        "The request is invalid: the server rejected our request due to an error in our request",
        "error: You must be logged in to the server (Unauthorized)",
        'error: exec plugin: invalid apiVersion "client.authentication.k8s.io/v1alpha1"',
        "kubectl ended with -15",
        "kubectl did not answer within 100 s",
        "",
    ],
)
def test_an_answer_is_final(said: str) -> None:
    assert not worth_another_try(said)
