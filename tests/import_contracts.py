"""A contract that import-linter has not: which libraries a package may import; all others are refused.

(`forbidden` names what may not be imported, so a library that nobody thought of passes.)
"""

from __future__ import annotations

import sys
from typing import Any

from importlinter import Contract, ContractCheck, fields, output


class OnlyTheseLibraries(Contract):
    """``source`` and everything in it imports, beside Python's own modules and ours, only ``libraries``."""

    source = fields.ModuleField()
    libraries = fields.SetField(subfield=fields.StringField())

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        name = self.source.name
        allowed = {name.partition(".")[0], *self.libraries, *sys.stdlib_module_names}
        found = [
            (importer, imported)
            for importer in sorted({name, *graph.find_descendants(name)})
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if imported.partition(".")[0] not in allowed
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["found"]:
            output.print_error(f"{importer} imports {imported}, which is none of the libraries that it may import.")
