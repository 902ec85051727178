"""Every word of the record and of notices that is ours, in both languages. What others said stays as it is."""

from __future__ import annotations

from typing import Final

LANGUAGES: Final = ("en", "es")

Pair = tuple[str, str]

# A change by its code (`core.run.changes`). ``subject`` is what it is about, ``to`` the digest that a tag gets.
CHANGES: Final[dict[str, Pair]] = {
    "patch": ("{subject} put back", "{subject} restablecido"),
    "create": ("{subject} created", "{subject} creado"),
    "delete": ("{subject} deleted", "{subject} borrado"),
    "close-traffic": ("{subject} closed", "{subject} cerrado"),
    "open-traffic": ("{subject} opened", "{subject} abierto"),
    "point-tag": ("{subject} pointed at {to}", "{subject} apunta a {to}"),
    "take-lock": ("lock taken", "bloqueo tomado"),
    "release-lock": ("lock released", "bloqueo liberado"),
    "keep-quarantine": (
        "quarantine of {subject} kept in the ledger", "cuarentena de {subject}, anotada en el libro de versiones",
    ),
    "keep-run": (
        "where the run went kept in the ledger", "destino de la ejecución, anotado en el libro de versiones",
    ),
}  # fmt: skip
_WHAT_RAN: Final[Pair] = ("what ran", "lo que corría")


def change_in(language: str, change: str, subject: str, to: str, text: str) -> str:
    """A change in words; ``text``, as the journal has it, where its code is not known."""
    both, at = CHANGES.get(change), LANGUAGES.index(language) if language in LANGUAGES else 0
    return both[at].format(subject=subject or _WHAT_RAN[at], to=to[:19]) if both else text


FOLLOW_UPS: Final[dict[str, Pair]] = {
    "traffic-closed": (
        "Traffic is still closed: rollback reopen opens it from the cluster's own record.",
        "El tráfico sigue cerrado: rollback reopen lo abre con el registro del propio clúster.",
    ),
    "locked": (
        "The run still holds the lock: finish it (rollback resume), or give the lock up (rollback unlock --force).",
        "La ejecución aún tiene el bloqueo: termínela (rollback resume), o suéltelo (rollback unlock --force).",
    ),
    "unclear": (
        "It is not certain whether this was done: {names}. Look, or run it again: it goes on from here.",
        "No es seguro si esto se hizo: {names}. Compruébelo, o ejecútelo otra vez: sigue desde aquí.",
    ),
    "mutable-tag": ("", "{tags} en {where} sigue siendo {failed}: el próximo despliegue normal lo trae de vuelta."),
    "mutable-tags": (
        "",
        "{tags} en {where} repositorios sigue siendo {failed}: el próximo despliegue normal lo trae de vuelta.",
    ),
    "bots": ("", "Algo escribe las imágenes por su cuenta ({names}): suspéndalo, o vuelve a poner la que falló."),
    "left-tag": ("", "Entretanto alguien movió {tag}, y así quedó: mire qué trae."),
    "unproven-target": (
        "Nothing proved {release} before: check that it is good, then record it (rollback record-release).",
        "Nada probaba antes {release}: confirme que es buena y regístrela (rollback record-release).",
    ),
    "reference-image": (
        "The image of {names} is only the reference tag's: nothing proves that it is {release}.",
        "La imagen de {names} es solo la de la etiqueta de referencia: nada prueba que sea {release}.",
    ),
    "image-on-nodes": (
        "Images that only the nodes hold were accepted: push them again, or a new node cannot start them.",
        "Se aceptaron imágenes que solo están en los nodos: súbalas otra vez, o un nodo nuevo no podrá arrancarlas.",
    ),
    "kept": (
        "Something else set fields of {names}; they were kept. Decide who owns them.",
        "Otra parte fijó campos de {names}; se conservaron. Decidan quién los gestiona.",
    ),
    "at-zero": (
        "Restored, but at 0 replicas, so not proven: {names}.",
        "Restaurado, pero con 0 réplicas, así que sin probar: {names}.",
    ),
    "no-smoke-test": (
        "No smoke test for {names}: nothing asked them for a real answer (verify.smoke).",
        "Sin prueba de humo para {names}: nadie les pidió una respuesta real (verify.smoke).",
    ),
    "quarantined": (
        "In quarantine until somebody lifts it: {what} (rollback quarantine --lift).",
        "En cuarentena hasta que alguien la levante: {what} (rollback quarantine --lift).",
    ),
    "cause": ("Find the cause of the failure", "Encontrar la causa del fallo"),
}

_WORDS: Final[dict[str, Pair]] = {
    "title": ("Rollback of {what} to {target}", "Rollback de {what} a {target}"),
    "restored": ("Restored", "Restaurado"),
    "nothing": ("Nothing was changed", "No se cambió nada"),
    "undone": ("Undone", "Deshecho"),
    "lead-undone": (
        "{environment} is as it was before run {run}; what was sick then is sick.",
        "{environment} está como antes de la ejecución {run}; lo que fallaba entonces falla.",
    ),
    "partly": ("Restored in part", "Restaurado en parte"),
    "not-restored": ("NOT restored", "SIN restaurar"),
    "lead-restored": ("{environment} runs {target}, whole and healthy.", "{environment} ejecuta {target}, sano."),
    "lead-partly": (
        "{environment} runs what is there of {target}; {but}.", "{environment} ejecuta lo que hay de {target}; {but}.",
    ),
    "lead-unproven": ("At 0 replicas, so unproven: {names}.", "Con 0 réplicas, sin probar: {names}."),
    "lead-nothing": ("The run ended before its first change.", "La ejecución terminó antes de su primer cambio."),
    "lead-not-restored": (
        "The run ended after changes began, and {target} was not proven healthy.",
        "La ejecución terminó con cambios hechos, y no se probó que {target} esté sano.",
    ),
    "lead-closed": ("Traffic is still CLOSED.", "El tráfico sigue CERRADO."),
    # sections
    "summary": ("Summary", "Resumen"),
    "impact": ("Impact", "Impacto"),
    "timeline": ("Timeline", "Cronología"),
    "evidence": ("Evidence", "Evidencias"),
    "causes": ("Causes", "Causas"),
    "actions": ("What was changed", "Qué se cambió"),
    "accepted-codes": ("Accepted", "Aceptado"),
    "verification": ("Verification", "Verificación"),
    "slow": ("What was slow", "Qué fue lento"),
    "follow-ups": ("To do", "Pendiente"),
    "review": ("For the review", "Para la revisión"),
    "warnings": ("Warnings", "Avisos"),
    # fields and columns
    "run": ("Run", "Ejecución"),
    "exit": ("exit code {code}", "código de salida {code}"),
    "incident": ("Incident", "Incidente"),
    "why": ("Why", "Motivo"),
    "no-reason": ("(no reason was given)", "(no se dio motivo)"),
    "who": ("Who", "Quién"),
    "from-place": ("from", "desde"),
    "repository": ("Repository", "Repositorio"),
    "approved": ("Approved", "Aprobado"),
    "not-approved": ("by nobody", "por nadie"),
    "by": ("by {who} ({how}), plan", "por {who} ({how}), plan"),
    "from": ("From", "Desde"),
    "to": ("To", "Hasta"),
    "cluster": ("Cluster", "Clúster"),
    "namespace": ("namespace", "namespace"),
    "traffic": ("Traffic", "Tráfico"),
    "open": ("open", "abierto"),
    "unknown-traffic": ("not known: it was not seen", "no se sabe: no se vio"),
    "closed": ("CLOSED", "CERRADO"),
    "failed-in": ("Failed in", "Falló en"),
    "time-to-detect": ("Time to detect", "Tiempo hasta detectar"),
    "time-to-decide": ("Time to decide", "Tiempo hasta decidir"),
    "time-to-restore": ("Time to restore", "Tiempo hasta restaurar"),
    "not-restored-time": ("not restored", "sin restaurar"),
    "unknown": ("not known", "no se sabe"),
    "affected": ("Services", "Servicios"),
    "first-evidence": ("First evidence", "Primera evidencia"),
    "healthy-at": ("Healthy", "Sano"),
    "traffic-closed-at": ("Traffic closed", "Tráfico cerrado"),
    "traffic-opened-at": ("Traffic opened", "Tráfico abierto"),
    "never-closed": ("never closed by this run", "esta ejecución no lo cerró"),
    "users": ("What users saw", "Qué vieron los usuarios"),
    "fill": ("(to be filled in)", "(por completar)"),
    "utc": ("UTC", "UTC"),
    "local": ("Local", "Local"),
    "what": ("What", "Qué"),
    "service": ("Service", "Servicio"),
    "severity": ("Severity", "Gravedad"),
    "since": ("Since", "Desde"),
    "source": ("Source", "Fuente"),
    "object": ("Object", "Objeto"),
    "change": ("Change", "Cambio"),
    "container": ("Container", "Contenedor"),
    "known-by": ("Known by", "Se sabe por"),
    "state": ("State", "Estado"),
    "ready": ("Ready", "Listos"),
    "digests": ("Digests", "Digests"),
    "owner": ("Owner", "Responsable"),
    "due": ("Due", "Fecha"),
    "stage": ("Stage", "Fase"),
    "seconds": ("Seconds", "Segundos"),
    "link": ("link", "enlace"),
    # what is said of the rest
    "no-evidence": ("None was recorded.", "No se registró ninguna."),
    "verdict": ("Verdict", "Veredicto"),
    "broken": ("broken", "roto"),
    "suspect": ("suspect", "sospechoso"),
    "healthy": ("healthy", "sano"),
    "failed": ("failed", "fallido"),
    "progressing": ("progressing", "en curso"),
    "note": ("note", "nota"),
    "saved": ("Saved in the run directory", "Guardado en el directorio de la ejecución"),
    "not-saved": ("Could not be saved", "No se pudo guardar"),
    "people-decide": (
        "For people to work out. What the evidence suggests:",
        "Para que lo aclaren las personas. Lo que sugieren las evidencias:",
    ),
    "suggests-nothing": ("The evidence suggests nothing.", "Las evidencias no sugieren nada."),
    "contributing": ("What contributed", "Qué contribuyó"),
    "detected-how": ("How was it noticed, and how could it be sooner?", "¿Cómo se notó, y cómo se notaría antes?"),
    "went-well": ("What went well?", "¿Qué fue bien?"),
    "prevent": ("What would keep it from happening again?", "¿Qué evitaría que se repita?"),
    "nothing-changed": ("Nothing.", "Nada."),
    "kept": ("Kept, because somebody else owns it", "Conservado, porque es de otros"),
    "left": ("Left as it is", "Dejado como está"),
    "leftovers": (
        "An ordinary apply would have left these; taken away",
        "Un apply normal los habría dejado; se quitaron",
    ),
    "orphans": ("Only the failed release had", "Solo los tenía la versión fallida"),
    "tags": ("Registry tags", "Etiquetas del registro"),
    "not-done": ("not done", "sin hacer"),
    "replicas": ("replicas {was} → {then}", "réplicas {was} → {then}"),
    "unclear-changes": ("Not certain whether it was done", "No es seguro si se hizo"),
    "accepted-by": ("Accepted by {who}", "Aceptado por {who}"),
    "nothing-accepted": ("Nothing.", "Nada."),
    "verified": ("Healthy at {at}.", "Sano a las {at}."),
    "not-verified": ("NOT healthy at {at}.", "NO sano a las {at}."),
    "never-verified": ("The run did not get to it.", "La ejecución no llegó a eso."),
    "good": ("passed", "bien"),
    "bad": ("FAILED", "FALLÓ"),
    "log-of": ("Last lines of the log", "Últimas líneas del log"),
    "all-stages": ("All stages together: {seconds} s.", "Todas las fases juntas: {seconds} s."),
    # the timeline
    "at-evidence": ("evidence: {text}", "evidencia: {text}"),
    "at-begun": ("{stage} begins", "empieza {stage}"),
    "at-failed": ("{stage} failed {text}", "{stage} falló {text}"),
    "at-changed": ("{text}", "{text}"),
    "at-not-changed": ("{text}: not done", "{text}: sin hacer"),
    "at-approved": ("approved by {text}", "aprobado por {text}"),
    "at-healthy": ("healthy again", "sano otra vez"),
    "at-told": ("told: {text}", "avisado: {text}"),
    "at-not-told": ("could not tell: {text}", "no se pudo avisar: {text}"),
    # notices
    "n-plan-ready": ("ROLLBACK waiting for approval", "ROLLBACK espera aprobación"),
    "n-refused": ("ROLLBACK not carried out", "ROLLBACK no realizado"),
    "n-started": ("ROLLBACK started", "ROLLBACK en marcha"),
    "n-traffic-closed": ("ROLLBACK: traffic is closed", "ROLLBACK: tráfico cerrado"),
    "n-done": ("ROLLBACK done", "ROLLBACK terminado"),
    "n-failed": ("ROLLBACK FAILED", "ROLLBACK FALLIDO"),
    "n-failed-open": ("ROLLBACK FAILED, traffic is open", "ROLLBACK FALLIDO, tráfico abierto"),
    "n-traffic-still-closed": ("ROLLBACK FAILED, traffic is STILL CLOSED", "ROLLBACK FALLIDO, tráfico AÚN CERRADO"),
    "n-images": ("Images", "Imágenes"),
    "n-asked": ("Asked by {who}", "Pedido por {who}"),
    "n-approved": ("approved by {who} ({how})", "aprobado por {who} ({how})"),
    "n-changed": ("{count} changes were made.", "Se hicieron {count} cambios."),
    "n-unchanged": ("Nothing was changed", "No se cambió nada"),
    "n-is-open": ("traffic is open.", "el tráfico está abierto."),
    "n-is-closed": ("TRAFFIC IS CLOSED{by}.", "EL TRÁFICO ESTÁ CERRADO{by}."),
    "n-is-unknown": ("how traffic is was not seen.", "no se vio cómo está el tráfico."),
    "n-next": ("Next", "Ahora"),
    "n-approve": (
        "look at the plan and approve or refuse it; it holds for plan {hash} only.",
        "mire el plan y apruébelo o rechácelo; vale solo para el plan {hash}.",
    ),
    "n-wait": ("hold your deploys; the next notice says how it ended.", "no desplieguen; otro aviso dirá cómo acaba."),
    "n-fix": ("see why, put it right, and ask again.", "mire por qué, arréglelo y pídalo otra vez."),
    "n-review": ("fill in the incident record.", "complete el registro del incidente."),
    "n-resume": (
        "look at it now; running it again goes on from here.",
        "mírelo ya; ejecutarlo otra vez sigue desde aquí.",
    ),
    "n-reopen": (
        "look at it now: finish the run, or open traffic with `rollback reopen`.",
        "mírelo ya: termine la ejecución, o abra el tráfico con `rollback reopen`.",
    ),
    "n-details": ("Details", "Detalles"),
}  # fmt: skip


def words(language: str) -> dict[str, str]:
    """Key → text in this language; English where it is none of ours."""
    at = LANGUAGES.index(language) if language in LANGUAGES else 0
    return {key: both[at] for key, both in _WORDS.items()}


def follow_up(code: str, values: dict[str, str], english: str, language: str) -> str:
    """The text of a follow-up; what it was written with where there is no other."""
    both = FOLLOW_UPS.get(code)
    if both is None or language != "es":
        return english
    return both[1].format(**{"tags": "", "where": "", **values, "failed": values.get("failed") or "otra imagen"})
