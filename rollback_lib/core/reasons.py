"""Why something is refused: a code of ours for each reason, which no wording changes (`core.errors.Refusal.reason`)."""

from __future__ import annotations

import enum


class Reason(enum.StrEnum):
    """Which decision a refusal is. A code stays as it is once it is released: plans keep it, and their hash covers it.

    What ``--accept`` takes is another code, `Refusal.code`. After each: its subject, then its facts.
    """

    # the release
    NO_RELEASE = "no-release"  # the pattern, or the tag that is not in the clone
    NO_OLDER_RELEASE = "no-older-release"  # the release, or the commit, after which none comes
    ONLY_PROPOSED = "only-proposed"  # the release
    TAG_MOVED = "tag-moved"  # the tag; its commit, and the one that ran
    QUARANTINED = "quarantined"  # the release; since when and by whom
    UNKNOWN_MIGRATION = "unknown-migration"  # the migration; new or edited, and its path
    NOT_BROKEN = "not-broken"  # the application; the verdict

    # its manifests
    FILE_UNREAD = "file-unread"  # the file; the release
    BAD_MANIFEST = "bad-manifest"  # the place; the key
    FILLED_IN = "filled-in"  # the object; the places where its file is not what was applied
    PLACEHOLDER = "placeholder"  # the place; the placeholder and its field
    FILES_DIFFER = "files-differ"  # the object; both files

    # its images
    PODS_UNSEEN = "pods-unseen"  # the namespace
    NO_IMAGE = "no-image"  # the workload; the container, what its manifest says, and the release
    SHARED_NAMES = "shared-names"  # the release; the names that its images have at another one as well
    IMAGE_CHANGED = "image-changed"  # the object; the container, its image, and what an admission policy makes of it

    # an object
    OBJECT_UNREAD = "object-unread"  # the object; its version
    LEAVING = "leaving"  # the object; since when and what holds it, or who needs it
    MISSING_REFERENCE = "missing-reference"  # the object; who needs it
    MISSING_KEY = "missing-key"  # the object; the keys that it lacks
    OWNED = "owned"  # the object; the program that owns it, and as what
    NOT_PUT_BACK = "not-put-back"  # what carries an image of the team's
    NOTHING_THERE = "nothing-there"  # the release; the namespace, and how many workloads it has
    NO_ROLLOUT = "no-rollout"  # the workload, paused or OnDelete
    NO_RIGHT = "no-right"  # the objects; the verb
    SERVER_REFUSES = "server-refuses"  # the object; the status and what the server says
    ADDRESS_TAKEN = "address-taken"  # the same, where it is a node port or an address that another Service has
    KEEPS_ITS_OWN = "keeps-its-own"  # the object; the field
    IMMUTABLE_FIELD = "immutable-field"  # the object; what the server says, or the fields that it keeps
    NOT_MADE_AGAIN = "not-made-again"  # the same, where data would be lost with it
    POLICY = "policy"  # the object; what the server warns of
    NO_KUBECTL = "no-kubectl"

    # closing traffic
    CLOSED_ALREADY = "closed-already"  # the object; by which run
    NOT_THERE_TO_CLOSE = "not-there-to-close"  # the target
    NO_BACKEND = "no-backend"  # the object; so the next ones
    EXTERNAL_NAME = "external-name"
    NO_SELECTOR = "no-selector"
    HEADLESS = "headless"
    SELECTS_NO_POD = "selects-no-pod"
    CLOSING_REFUSED = "closing-refused"  # with the status and what the server says
    STAYS_OPEN = "stays-open"
    OPENS_WHEN_MADE_AGAIN = "opens-when-made-again"
    NO_PAGE = "no-page"  # the Service that was to show it
    PAGE_NOT_READY = "page-not-ready"
    PAGE_LACKS_PORT = "page-lacks-port"  # with the ports

    # an earlier run
    RUN_UNKNOWN = "run-unknown"  # the run
    RUN_IS_OVER = "run-is-over"  # the run; how it stands
