"""What the demo says, in English and Spanish. Numbers come from what it measured; here are only the words."""

from __future__ import annotations

from typing import Final

LANGUAGES: Final = ("en", "es")
_Words = dict[str, tuple[str, str]]

_WORDS: Final[_Words] = {
    "intro": (
        "A shop of ten services, in a sandbox on this machine: a small Kubernetes API\n"
        "server, an image registry and a git repository with three releases.\n"
        "kubectl is yours. Everything below really happens, and nothing leaves here.",
        "Una tienda de diez servicios, en un entorno de pruebas en esta máquina: un\n"
        "pequeño servidor de API de Kubernetes, un registro de imágenes y un\n"
        "repositorio git con tres versiones. kubectl es el suyo. Todo ocurre de verdad.",
    ),
    "good": ("{good} is deployed, and it is good", "{good} está desplegada, y funciona"),
    "bad": ("{bad} is deployed over the same tag, :prod", "{bad} se despliega sobre la misma etiqueta, :prod"),
    "bad-config": (
        "{bad} is deployed: only its configuration differs",
        "Se despliega {bad}: solo cambia la configuración",
    ),
    "bad-now": (
        "Every rollout is complete, and {sick} of {of} services say that they are DOWN.",
        "Todo se desplegó, y {sick} de {of} servicios dicen que están DOWN.",
    ),
    "missing": (
        "And the registry has lost the {good} image of {affected}.",
        "Y el registro perdió la imagen {good} de {affected}.",
    ),
    "breaks": (
        "And the {good} image of {affected} does not start any more.",
        "Y la imagen {good} de {affected} ya no arranca.",
    ),
    "by-hand": ("Somebody tried to help, by hand:", "Alguien intentó ayudar, a mano:"),
    "written": ("What the written plan would bring back", "Lo que devolvería el plan escrito"),
    "undo": ("What kubectl rollout undo would bring back", "Lo que devolvería kubectl rollout undo"),
    "why-tag": (
        "The manifests of {good} say :prod, and :prod is {bad} now.",
        "Los manifiestos de {good} dicen :prod, y :prod ya es {bad}.",
    ),
    "why-config": (
        "A pod reads its configuration when it starts, and none was started with it.",
        "Un pod lee su configuración al arrancar, y ninguno arrancó con ella.",
    ),
    "why-undo-config": (
        "The pods are started again, and read {bad}'s configuration again.",
        "Los pods arrancan otra vez, y leen otra vez la configuración de {bad}.",
    ),
    "still": ("Still there: {foreign}", "Sigue ahí: {foreign}"),
    "put-back": ("(undone; the sandbox is as it was before)", "(deshecho; todo está como antes)"),
    "run": ("The rollback: its plan, then phase by phase", "El rollback: su plan, y luego fase a fase"),
    "proof": ("The proof, asked from the services themselves", "La prueba, preguntada a los servicios mismos"),
    "count": ("{count} of {of} services are as {good} was.", "{count} de {of} servicios están como en {good}."),
    "answers": ("{count} answer {version}", "{count} responden {version}"),
    "silent": ("{count} do not answer", "{count} no responden"),
    "rollout-good": ("rollout status: every rollout is complete", "rollout status: todo desplegado"),
    "rollout-bad": ("rollout status: ended with {code}", "rollout status: terminó con {code}"),
    "unchanged": ("Compared with before: no object was changed.", "Comparado con antes: no cambió ningún objeto."),
    "changed": ("Compared with before: objects WERE changed.", "Comparado con antes: SÍ cambiaron objetos."),
    "exit": ("rollback ended with {code}.", "rollback terminó con {code}."),
    "record": ("The incident record", "El registro del incidente"),
    "no-record": ("There is none.", "No hay ninguno."),
    "gone": (
        "It goes with the sandbox now; `rollback demo --keep` keeps both for you to try.",
        "Desaparece ahora; `rollback demo --keep` lo conserva todo para probar.",
    ),
    "unexpected": ("This is not how the story should end.", "La historia no debía terminar así."),
    "done": ("Done in {seconds:.0f} s.", "Terminado en {seconds:.0f} s."),
    "play": ("The sandbox runs until Ctrl-C. In another terminal:", "Funciona hasta Ctrl-C. En otra terminal:"),
    "stopped": ("The sandbox is gone; nothing was left behind.", "El entorno se cerró; no quedó nada."),
    "kept": ("The sandbox has stopped. Its files: {folder}", "El entorno se cerró. Sus archivos: {folder}"),
    "interrupted": ("Interrupted. {rest}", "Interrumpido. {rest}"),
}


def words(language: str) -> dict[str, str]:
    """Key → text in this language."""
    at = LANGUAGES.index(language)
    return {key: both[at] for key, both in _WORDS.items()}
