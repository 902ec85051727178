"""HTTP to one Jenkins by python-jenkins, one request at a time: its session, its authorization and its crumb.

Repaired here (1.8.3): it follows redirects to other hosts; a crumb is never asked for again; errors come as four
unrelated kinds; nothing has a time limit; who has no token is sent with what ~/.netrc has for the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import jenkins
import requests
import urllib3

from rollback_lib.adapters import bounded, http
from rollback_lib.adapters.http import Answer
from rollback_lib.core import encoding
from rollback_lib.core.jenkins import answers
from rollback_lib.core.redact import redact

CONNECT_TIMEOUT: Final = 5.0
READ_TIMEOUT: Final = 20.0  # between two bytes
WHOLE_TIMEOUT: Final = 60.0  # for one answer
LARGEST: Final = 16 << 20
_CRUMB: Final = 1 << 16


class LostError(Exception):
    """No usable answer came."""


class _Session(jenkins.Jenkins):
    """python-jenkins without its reading of statuses, and without following redirects."""

    _session: Any
    _auths: Any
    crumb: Any

    def _response_handler(self, response: Any) -> Any:
        return response

    def _request(self, req: Any, stream: Any = None) -> Any:
        prepared = self._session.prepare_request(req)
        settings = self._session.merge_environment_settings(prepared.url, {}, True, self._session.verify, None)
        return self._session.send(
            prepared, **{**settings, "stream": True}, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), allow_redirects=False
        )

    def maybe_add_crumb(self, req: Any) -> None:
        if self.crumb is None:
            found = self.jenkins_request(requests.Request("GET", self.server + "crumbIssuer/api/json"), add_crumb=False)
            try:
                said = bounded.Waited().read(http.pieces(found), _CRUMB)
                self.crumb = answers.crumb(said) if found.status_code == 200 else False
            except encoding.NotJsonError:
                self.crumb = False
            finally:
                found.close()
        if self.crumb:
            req.headers.update([self.crumb])


class JenkinsHttp:
    """Requests to the server at ``url``. ``stopped`` ends what is being read."""

    def __init__(self, url: str, user: str, token: str, stopped: bounded.Stopped) -> None:
        self._server = _Session(url, user or None, token or None)
        http.without_redirects(self._server._session)
        if not (user and token):
            self._server._auths = [("anonymous", http.as_given)]
        self._stopped = stopped
        self.url: str = self._server.server

    def close(self) -> None:
        self._server._session.close()

    def forget_crumb(self) -> None:
        """Ask for another before the next request that changes something: this one was of a session that has ended."""
        self._server.crumb = None

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """One request and its whole answer. Raises LostError where none came."""
        request = requests.Request(method, self.url + path, data=body, headers=dict(headers))

        def answer(waited: bounded.Waited) -> Answer:
            raw = self._server.jenkins_request(request, add_crumb=method == "POST")
            try:
                return Answer(raw.status_code, raw.headers, waited.read(http.pieces(raw), LARGEST))
            finally:
                raw.close()

        try:
            return http.ask(method, self.url + path, answer, WHOLE_TIMEOUT, self._stopped, is_write=method == "POST")
        except bounded.LargerError:
            raise LostError(f"an answer of more than {LARGEST >> 20} MB") from None
        except TimeoutError:
            raise LostError(f"an answer that took more than {WHOLE_TIMEOUT:.0f} s") from None
        except jenkins.TimeoutException:
            raise LostError("no answer within the time") from None
        except urllib3.exceptions.HTTPError as error:
            raise LostError(f"the answer was cut off ({type(error).__name__})") from None
        except (requests.RequestException, jenkins.JenkinsException, OSError) as error:
            raise LostError(_reason(error)) from None


def _reason(error: Exception) -> str:
    return redact(" ".join(f"{type(error).__name__}: {error}".split()))[:200]
