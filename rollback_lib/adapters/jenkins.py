"""A Jenkins server through python-jenkins, with what that leaves to its callers.

python-jenkins gives the session (`jenkins_http`). Repaired here (1.8.3): its retries never happen; it follows the 303
of a request that is queued already and then fails; parameters go into the address.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from rollback_lib.adapters import bounded
from rollback_lib.adapters.http import Answer
from rollback_lib.adapters.jenkins_http import JenkinsHttp, LostError
from rollback_lib.core import encoding
from rollback_lib.core.errors import AwayError, CheckError, RefusedError, UsageError
from rollback_lib.core.images.registry_answers import retry_after
from rollback_lib.core.jenkins import answers
from rollback_lib.core.jenkins.answers import Build, BuildStage, LogPart, Question, QueueItem, TestCase
from rollback_lib.core.redact import redact

PAUSES: Final = (0.5, 1.0, 2.0, 4.0)  # seconds, before another try to read
T = TypeVar("T")
_QUEUED = re.compile(r"/queue/item/([0-9]{1,18})/?$")
_AGAIN: Final = (429, 502, 503, 504)
_LONGEST_WAIT: Final = 10.0
_BUILD = "number,url,building,result,queueId,timestamp,artifacts[relativePath],actions[parameters[*],causes[*]]"


class JenkinsServer:
    """`ports.Jenkins`.

    Raises RefusedError with what the server said, AwayError where it does not answer, CheckError where a request to
    change something was sent and its answer was lost, UsageError for names that cannot be meant.
    """

    def __init__(
        self, url: str, user: str, token: str, *, sleep: Callable[[float], None],
        stopped: bounded.Stopped = bounded.never,
    ) -> None:  # fmt: skip
        if urlsplit(url).scheme not in ("http", "https") or urlsplit(url).username:
            raise UsageError("JENKINS_URL must be the address of a Jenkins server, without a user name in it")
        self._http = JenkinsHttp(url, user, token, stopped)
        self._user, self._sleep = user, sleep
        self.url = self._http.url

    def close(self) -> None:
        self._http.close()

    # --- the job
    def job_config(self, job: str) -> str | None:
        """config.xml, or None where there is no such job (or we may not see it)."""
        found = self._get(f"{_job(job)}/config.xml", missing=True)
        return None if found is None else found.body.decode("utf-8", "replace")

    def put_job(self, job: str, xml: str, *, create: bool) -> None:
        path = f"{_job(job)}/config.xml"
        if create:
            folder, own = parent_path(job)
            path = f"{folder}createItem?{urlencode({'name': own})}"
        self._post(path, xml.encode(), {"Content-Type": "text/xml; charset=utf-8"}, f"write the job {job}")

    def missing_folder(self, job: str) -> str:
        """The outermost folder of the job's that is not there. Raises RefusedError where one of them is no folder."""
        parts = job.strip("/").split("/")[:-1]
        for folder in ("/".join(parts[:n]) for n in range(1, len(parts) + 1)):
            found = self._get(f"{_job(folder)}/api/json?tree=jobs[name]{{0,1}}", missing=True)
            if found is None:
                return folder
            if not _read(answers.is_folder, found.body, f"the folder {folder}"):
                raise RefusedError(f"{folder} is a job of Jenkins and no folder: give --job another name.")
        return ""

    def parameters(self, job: str) -> Mapping[str, Sequence[str]]:
        """The job's parameters with their choices; Jenkins takes others without a word and drops them."""
        path = f"{_job(job)}/api/json?tree=property[parameterDefinitions[name,choices]]"
        return self._of_job(path, job, answers.parameters)

    def check(self, jenkinsfile: str) -> Sequence[str]:
        """What the server's validator says against a Jenkinsfile; nothing where it is valid."""
        body = urlencode({"jenkinsfile": jenkinsfile}).encode()
        path = "pipeline-model-converter/validateJenkinsfile"
        found = self._post(path, body, _FORM, "check the Jenkinsfile")
        return _read(answers.validator_errors, found.body, "the Jenkinsfile")

    # --- a build
    def start(self, job: str, parameters: Mapping[str, str]) -> int:
        """The queue item; 0 where an equal request is queued already. Never sent twice: it is no idempotent request."""
        path = f"{_job(job)}/buildWithParameters"
        found = self._post(path, urlencode(dict(parameters)).encode(), _FORM, f"start {job}", redirects=True)
        location = found.headers.get("location", "")
        if found.status in (302, 303):
            return 0
        number = queue_number(location)
        if not number:
            raise RefusedError(f"Jenkins took the request for {job} and did not say where it is queued.")
        return number

    def queued(self, item: int) -> QueueItem:
        found = self._get(f"queue/item/{item}/api/json", missing=True)
        if found is None:
            return QueueItem(gone=True)
        return _read(answers.queue_item, found.body, "the queue")

    def build(self, job: str, number: int) -> Build | None:
        found = self._get(f"{_job(job)}/{number}/api/json?tree={_BUILD}", missing=True)
        return None if found is None else _read(answers.build, found.body, f"build {number}")

    def recent(self, job: str, many: int = 20) -> Sequence[Build]:
        """The newest builds, newest first."""
        return self._of_job(f"{_job(job)}/api/json?tree=builds[{_BUILD}]{{0,{many}}}", job, answers.builds)

    def stages(self, job: str, number: int) -> Sequence[BuildStage] | None:
        """Its stages; None where the server has not the plugin that tells (Pipeline: REST API)."""
        found = self._get(f"{_job(job)}/{number}/wfapi/describe", missing=True)
        return None if found is None else _read(answers.stages, found.body, "the stages")

    def questions(self, job: str, number: int) -> Sequence[Question] | None:
        """What it waits for; None where the server cannot tell."""
        found = self._get(f"{_job(job)}/{number}/wfapi/pendingInputActions", missing=True)
        return None if found is None else _read(answers.questions, found.body, "its questions")

    def log(self, job: str, number: int, start: int) -> LogPart | None:
        """The log from byte ``start``; None where the build is gone. An empty log is a log."""
        found = self._get(f"{_job(job)}/{number}/logText/progressiveText?start={start}", missing=True)
        if found is None:
            return None
        size = found.headers.get("x-text-size", "")
        more = found.headers.get("x-more-data", "").lower() == "true"
        after = int(size) if size.isdigit() else start + len(found.body)
        return LogPart(data=found.body, next=after, more=more)

    def artifact(self, job: str, number: int, path: str) -> bytes | None:
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise UsageError(f"{path!r} is not an artifact's path")
        found = self._get(f"{_job(job)}/{number}/artifact/{quote(path)}", missing=True)
        return None if found is None else found.body

    def tests(self, job: str, number: int) -> Sequence[TestCase]:
        """Those of the test report; none where there is none."""
        tree = "suites[cases[className,name,status,errorDetails]]"
        found = self._get(f"{_job(job)}/{number}/testReport/api/json?tree={tree}", missing=True)
        return () if found is None else _read(answers.test_cases, found.body, "the test report")

    # --- requests
    def _of_job(self, path: str, job: str, reads: Callable[[bytes], T]) -> T:
        found = self._get(path, missing=True)
        if found is None:
            raise RefusedError(f"Jenkins has no job {job}, or {self._who()} may not see it.")
        return _read(reads, found.body, f"the job {job}")

    def _get(self, path: str, *, missing: bool = False) -> Answer | None:
        def ask() -> Answer | str:
            try:
                found = self._http.send("GET", path, None, {})
                if "api/json" in path and found.status == 200:
                    _read(encoding.from_json, found.body, "Jenkins")  # half of an answer is worth another try
                return found
            except (LostError, RefusedError) as problem:
                return str(problem)

        def wait(found: Answer | str, pause: float) -> float | None:
            if isinstance(found, str):
                return pause
            if found.status not in _AGAIN:
                return None
            asked = retry_after(found.headers, time.time())
            return min(pause if asked is None else asked, _LONGEST_WAIT)

        found = bounded.again(ask, wait, PAUSES, self._sleep)
        if isinstance(found, str) or found.status in _AGAIN:
            said = found if isinstance(found, str) else _status_text(found)
            raise AwayError(f"Jenkins does not answer ({len(PAUSES) + 1} tries): {said}")
        return self._judged(found, f"read {path.partition('?')[0]}", missing=missing)

    def _post(
        self, path: str, body: bytes, headers: Mapping[str, str], what: str, *, redirects: bool = False
    ) -> Answer:
        try:
            found = self._http.send("POST", path, body, headers)
            if found.status == 403 and b"crumb" in found.body.lower():
                self._http.forget_crumb()
                found = self._http.send("POST", path, body, headers)
        except LostError as problem:
            raise CheckError(f"Jenkins did not answer when we wanted to {what}: {problem}") from None
        judged = self._judged(found, what, redirects=redirects)
        assert judged is not None
        return judged

    def _judged(self, found: Answer, what: str, *, missing: bool = False, redirects: bool = False) -> Answer | None:
        if found.status < 300:
            return found
        if found.status < 400:
            return self._redirected(found, what, redirects)
        if found.status == 404 and missing:
            return None
        raise RefusedError(f"Jenkins did not let us {what}: {_status_text(found)}{self._advice(found)}")

    def _redirected(self, found: Answer, what: str, expected: bool) -> Answer:
        there = urlsplit(found.headers.get("location", ""))
        if "login" in there.path or "securityRealm" in there.path:
            raise RefusedError(f"Jenkins wants a login when we {what}: user or API token are wrong or missing.")
        here = urlsplit(self.url)
        if there.netloc and (there.scheme, there.netloc) != (here.scheme, here.netloc) and not expected:
            raise RefusedError(f"Jenkins sends us to {there.scheme}://{there.netloc}: set JENKINS_URL to where it is.")
        return found

    def _advice(self, found: Answer) -> str:
        if found.status == 401:
            return " The user or the API token is wrong."
        if found.status == 403:
            needed = found.headers.get("x-required-permission", "")
            return f" {self._who()} lacks {redact(needed)}." if needed else f" {self._who()} may not."
        if found.status == 409:
            return " The job is disabled."
        if found.status == 400:
            return " A job without parameters says so too: run `rollback jenkins provision`."
        return " Its own log says why." if found.status == 500 else ""

    def _who(self) -> str:
        return self._user or "anonymous"


_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


def _job(name: str) -> str:
    try:
        return job_path(name)
    except ValueError as error:
        raise UsageError(str(error)) from None


def job_path(name: str) -> str:
    """`shop/deploy` as `job/shop/job/deploy`. A multibranch job's own slash is `%2F` already, as JOB_NAME has it.

    Raises ValueError for a name that would lead elsewhere.
    """
    parts = name.strip("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{name!r} is not the full name of a job")
    return "/".join(f"job/{quote(part, safe='')}" for part in parts)


def parent_path(name: str) -> tuple[str, str]:
    """(path of the folder that holds the job, the job's own name)."""
    folder, _, own = name.strip("/").rpartition("/")
    return (job_path(folder) + "/" if folder else "", own)


def queue_number(location: str) -> int:
    """The queue item that a Location names, whatever host it says; 0 where it names none."""
    found = _QUEUED.search(urlsplit(location).path)
    return int(found[1]) if found else 0


def _read(reads: Callable[[bytes], T], body: bytes, what: str) -> T:
    try:
        return reads(body)
    except encoding.NotJsonError as problem:
        raise RefusedError(f"what Jenkins says of {what} {problem}.") from None


def _status_text(found: Answer) -> str:
    """The status, and the first words of a short answer; a page of HTML says nothing that helps."""
    html = found.body.lstrip()[:1] == b"<"
    said = "" if html else " ".join(found.body.decode("utf-8", "replace").split())[:200]
    return f"{found.status}{' ' + redact(said) if said else ''}."
